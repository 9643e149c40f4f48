"""Builds PromQL from the table of conventions and the existing metrics; the server aggregates."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Literal

from data.channels import ChannelMap
from data.sources import conventions
from data.sources.conventions import Match, Requests, Resource
from data.sources.live.prometheus import quoted
from data.sources.samples import Grid

By = Literal["service", "workload", "pod"]

_MOST_OTHERS = 24  # metrics known to the channel rules, but to no convention
# A few waiting items are normal; fewer than this are no sign.
_FEWEST_WAITING = 5.0
_COUNTS_WAITING = re.compile(
    r"(?!.*(?:ratio|percent|util|share|seconds|bytes|_age|usage|_total))"
    r".*(?:queue|pending|waiting|backlog|messages|in_?flight|lag|blocked).*"
)
_GAP = "\0"  # marks where more matchers go
_SIMPLE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NO_METRIC = re.compile(
    r".*_(?:bucket|sum|count|created|info)|ALERTS.*|scrape_.*|.*:.*|(?:go|python|promhttp|process_virtual)_.*"
)


@dataclass(frozen=True)
class Query:
    """One query, and the meaning of its answer."""

    metric: str  # its name in the recording; with a leading "_", a part of others
    text: str  # PromQL with marks for more matchers
    labels: tuple[str, ...]  # of the service and its pod, or of the caller and its pod
    callee: str = ""  # the label of the callee (or of the version); "" for a service
    rank: int = 0  # of several for the same metric, the lowest counts
    merged: Literal["sum", "max"] = "max"  # how to merge series of one service
    least: float = 0.0  # series that stay below this are dropped

    def promql(self, only: Mapping[str, str] | None = None) -> str:
        """The query, optionally for certain label values only."""
        more = ",".join(f"{_label(name)}={quoted(value)}" for name, value in (only or {}).items())
        return self.text.replace(f"{{{_GAP}", f"{{{more}").replace(_GAP, f",{more}" if more else "")


@dataclass(frozen=True)
class There:
    """What a Prometheus has: metric names in its spelling, and labels of the relevant ones."""

    names: Mapping[str, str]  # {with underscores: as it is spelt}
    labels: Mapping[str, frozenset[str]]  # {with underscores: labels}

    @staticmethod
    def named(names: Iterable[str]) -> "There":
        """Without any labels."""
        return There({plain(name): name for name in names}, {})


def plain(name: str) -> str:
    """A Prometheus 3 name, which may have dots, in the form of older versions."""
    return re.sub(r"[.\-/]", "_", name)


def to_ask_about(there: There) -> list[str]:
    """The metrics whose labels are needed to build queries, with underscores."""
    found: dict[str, None] = {}
    for row in (*conventions.SERVED, *conventions.CALLED):
        for calls, base in _instruments(row, there):
            found.update(dict.fromkeys(filter(None, (calls or _count(base, there),))))
    for resource in conventions.RESOURCES:
        found.update(dict.fromkeys(_matching(resource.name, there)[:1]))
    found.update(dict.fromkeys(name for name in (conventions.GENERATION, "ALERTS") if name in there.names))
    for name, _ in conventions.VERSIONS:
        found.update(dict.fromkeys(_matching(name, there)[:1]))
    return list(found)


def others(there: There, channels: ChannelMap) -> list[str]:
    """Metrics that only the channel rules know, such as a datastore's, with underscores."""
    known = {name for resource in conventions.RESOURCES for name in _matching(resource.name, there)}
    known |= {name for resource in conventions.RESOURCES for name in _matching(resource.over, there)}
    parts = [row.calls for row in (*conventions.SERVED, *conventions.CALLED)]
    parts += [row.failed for row in conventions.CALLED]
    known |= {name for part in filter(None, parts) for name in _matching(part, there)}
    bases = "|".join(row.duration for row in (*conventions.SERVED, *conventions.CALLED) if row.duration)
    found = [
        name
        for name in sorted(there.names)
        if name not in known
        and not _NO_METRIC.fullmatch(name)
        and not re.match(f"(?:{bases})", name)
        and not name.startswith(("kube_", "container_", "istio_", "hubble_", "node_", "prometheus_"))
        and channels(name) is not None
    ]
    return found[:_MOST_OTHERS]


def queries(there: There, grid: Grid, by: By, namespace: str, more: Sequence[str]) -> list[Query]:
    """All queries; `more` are the names from `others`."""
    asked = _Asked(there, f"[{max(round(grid.rate_s), 1)}s]", by, namespace)
    found: list[Query] = []
    for rows in (conventions.SERVED, conventions.CALLED):
        for rank, row in enumerate(rows):
            for calls, base in _instruments(row, there):
                found += _requests(asked, row, rank, calls, base)
    for rank, resource in enumerate(conventions.RESOURCES):
        found += _resource(asked, resource, rank)
    for name in more:
        found += _other(asked, name)
    return found + _changes(asked)


@dataclass(frozen=True)
class _Asked:
    """What all queries have in common."""

    there: There
    window: str  # that rates are taken over
    by: By
    namespace: str

    def selector(self, name: str, where: Iterable[Match]) -> str:
        """A metric with matchers, and room for more."""
        spelt = self.there.names[name]
        matchers = [f"{_label(label)}{operator}{quoted(value)}" for label, operator, value in where]
        if _SIMPLE.fullmatch(spelt):
            return f"{spelt}{{{','.join(matchers)}{_GAP}}}"
        return f"{{{','.join([quoted(spelt), *matchers])}{_GAP}}}"

    def rate(self, name: str, where: Iterable[Match]) -> str:
        """Of a counter, a second."""
        return f"rate({self.selector(name, where)}{self.window})"

    def within(self, labels: frozenset[str]) -> tuple[Match, ...]:
        """The matcher of the one namespace that is asked about."""
        label = _first(conventions.NAMESPACE, labels) if self.namespace else ""
        return ((label, "=", self.namespace),) if label else ()

    def grouped(self, wanted: Sequence[str], labels: frozenset[str]) -> tuple[str, ...]:
        """The label that names a service, and the one that names its replica if replicas are asked about."""
        if self.by == "workload":
            wanted = sorted(wanted, key=lambda label: not re.fullmatch(conventions.WORKLOAD, label))
        first = _first(wanted, labels)
        pod = _first(conventions.POD, labels) if self.by == "pod" else ""
        return tuple(dict.fromkeys(label for label in (first, pod) if label))


def _requests(asked: _Asked, row: Requests, rank: int, calls: str, base: str) -> Iterator[Query]:
    counter = calls or _count(base, asked.there)
    labels = asked.there.labels.get(counter, frozenset())
    by, callee = asked.grouped(row.caller or row.service, labels), _first(row.callee, labels)
    if not by or (row.callee and not callee) or not set(row.needs) <= labels:
        return
    where = (*(match for match in row.where if match[0] in labels), *asked.within(labels))
    grouped = f"sum by ({', '.join(_label(label) for label in (*by, callee) if label)})"
    # A native histogram has neither _count nor _bucket.
    native = "" if counter != base else "histogram_"

    def query(metric: str, text: str) -> Query:
        return Query(metric, text, by, callee, rank, "max" if metric.startswith("latency") else "sum")

    def counted(name: str, *more: Match) -> str:
        text = f"{grouped} ({asked.rate(name, (*where, *more))})"
        return f"histogram_count({text})" if native else text

    view = "_callee" if row.callee and row.seen_by == "callee" and base else ""
    if not view:
        yield query("request_rate", counted(counter))
        # A label of failures may be missing altogether, if nothing has failed.
        alike = [match for match in row.failing if match[0] in labels or match[1:] == ("!=", "")]
        failing = next(iter(sorted(alike, key=lambda match: match[0] not in labels)), None)
        if failing:
            yield query("_failed", counted(counter, failing))
        for failed in _matching(row.failed, asked.there)[:1]:
            yield query("_failed", counted(failed))
        if row.unanswered and {label for label, *_ in row.unanswered} <= labels:
            yield query("_unanswered", counted(counter, *row.unanswered))
    if not base:
        return
    unit = " / 1000" if re.fullmatch(conventions.MILLISECONDS, base) else ""
    if native:
        yield query(f"{view}_seconds", f"histogram_sum({grouped} ({asked.rate(base, where)})){unit}")
    elif f"{base}_sum" in asked.there.names:
        yield query(f"{view}_seconds", f"{grouped} ({asked.rate(f'{base}_sum', where)}){unit}")
    # Calls with their own counter are all timed; there may be too many to ask twice.
    if (view and not calls) or (calls and not row.callee and f"{base}_count" in asked.there.names):
        yield query(f"{view}_timed", counted(base if native else f"{base}_count"))
    if row.callee:
        return
    for quantile, metric in ((0.5, "latency_p50_s"), (0.99, "latency_p99_s")):
        if native:
            text = f"histogram_quantile({quantile}, {grouped} ({asked.rate(base, where)}))"
        elif f"{base}_bucket" in asked.there.names:
            with_le = f"{grouped[:-1]}, le)"
            text = f"histogram_quantile({quantile}, {with_le} ({asked.rate(f'{base}_bucket', where)}))"
        elif base in asked.there.names:  # a summary
            text = f"max{grouped[3:]} ({asked.selector(base, (*where, ('quantile', '=', f'{quantile:g}')))})"
        else:
            continue
        yield query(metric, text + unit)


def _resource(asked: _Asked, resource: Resource, rank: int) -> Iterator[Query]:
    names, over = _matching(resource.name, asked.there)[:1], _matching(resource.over, asked.there)[:1]
    if not names or bool(over) != bool(resource.over):
        return
    labels = asked.there.labels.get(names[0], frozenset())
    by = asked.grouped(resource.service, labels)
    if not by:
        return
    where = (*(match for match in resource.where if match[0] in labels), *asked.within(labels))
    grouped = f"by ({', '.join(map(_label, by))})"

    def one(name: str, positive: str = "") -> str:
        if resource.form == "rate":
            return f"max {grouped} ({asked.rate(name, where)}{positive})"
        how = "max" if resource.form == "age" else resource.form
        return f"{how} {grouped} ({asked.selector(name, where)}{positive})"

    text = f"time() - {one(names[0])}" if resource.form == "age" else one(names[0])
    if over:
        # An unset limit is 0, and there is no share of it.
        text = f"{one(over[0])} - {text}" if resource.minus else f"{text} / {one(over[0], ' > 0')}"
    yield Query(resource.metric, text, by, "", rank, "sum" if resource.form == "sum" else "max")


def _other(asked: _Asked, name: str) -> Iterator[Query]:
    labels = asked.there.labels.get(name, frozenset())
    by = asked.grouped(conventions.SERVICE, labels)
    if by:
        where = asked.within(labels)
        series = asked.selector(name, where) + asked.window
        value = f"rate({series})" if name.endswith("_total") else f"avg_over_time({series})"
        least = _FEWEST_WAITING if _COUNTS_WAITING.fullmatch(name) else 0.0
        yield Query(name, f"max by ({', '.join(map(_label, by))}) ({value})", by, least=least)


def _changes(asked: _Asked) -> list[Query]:
    """Queries for changes: generations of deployments, versions of programs."""
    found = []
    for metric, name in (("_generation", conventions.GENERATION), ("_scale", conventions.SCALE)):
        if conventions.GENERATION in asked.there.names and name in asked.there.names:
            where = asked.within(asked.there.labels.get(conventions.GENERATION, frozenset()))
            text = f"max by (deployment) ({asked.selector(name, where)})"
            found.append(Query(metric, text, ("deployment",)))
    for pattern, versions in conventions.VERSIONS:
        for name in _matching(pattern, asked.there)[:1]:
            labels = asked.there.labels.get(name, frozenset())
            by, version = asked.grouped(conventions.SERVICE, labels), _first(versions, labels)
            if by and version:
                grouped = ", ".join(map(_label, (*by, version)))
                text = f"max by ({grouped}) ({asked.selector(name, asked.within(labels))})"
                found.append(Query("_version", text, by, version))
    return found


def _instruments(row: Requests, there: There) -> Iterator[tuple[str, str]]:
    """Each counter of a convention with its histogram; either may be ""."""
    bases = dict.fromkeys(
        base
        for name in there.names
        for base in (re.sub(r"_(?:bucket|count|sum)$", "", name),)
        if row.duration and re.fullmatch(row.duration, base)
    )
    if not row.calls:
        yield from (("", base) for base in bases if _count(base, there))
        return
    for calls in _matching(row.calls, there):
        alike = {base: len(commonprefix([base, calls])) for base in bases}  # noqa: RUF071 – letters are meant
        near = max(bases, key=lambda base: (alike[base], -len(base)), default="")
        yield calls, near


def _count(base: str, there: There) -> str:
    """The counter of a histogram's observations; a native histogram is its own."""
    return next((name for name in (f"{base}_count", base) if name in there.names), "")


def _matching(pattern: str, there: There) -> list[str]:
    return [name for name in there.names if re.fullmatch(pattern, name)] if pattern else []


def _first(wanted: Iterable[str], labels: frozenset[str]) -> str:
    # If a scrape adds a label of the same name, the original is called "exported_…".
    ordered = sorted(labels, key=lambda label: label.startswith("exported_"))
    known = {plain(label).removeprefix("exported_"): label for label in ordered}
    return next((known[label] for label in wanted if label in known), "")


def _label(name: str) -> str:
    return name if _SIMPLE.fullmatch(name) else quoted(name)
