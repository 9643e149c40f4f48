"""The table of conventions and the names that are there → PromQL, aggregated on the server."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Literal

from data.channels import ChannelMap
from data.sources import conventions
from data.sources.conventions import Match, Requests, Resource
from data.sources.live.prometheus import Grid, quoted

By = Literal["service", "workload", "pod"]

_MOST_OTHERS = 24  # metrics that no convention knows but the rules of channels do
# A few that wait come and go: so many have to before it is a sign.
_FEWEST_WAITING = 5.0
_COUNTS_WAITING = re.compile(
    r"(?!.*(?:ratio|percent|util|share|seconds|bytes|_age|usage|_total))"
    r".*(?:queue|pending|waiting|backlog|messages|in_?flight|lag|blocked).*"
)
_GAP = "\0"  # where more matchers go
_SIMPLE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NO_METRIC = re.compile(
    r".*_(?:bucket|sum|count|created|info)|ALERTS.*|scrape_.*|.*:.*|(?:go|python|promhttp|process_virtual)_.*"
)


@dataclass(frozen=True)
class Query:
    """One question, and what its answer is."""

    metric: str  # that it is recorded as; one that begins with "_" is a part of others
    text: str  # PromQL with gaps for more matchers
    labels: tuple[str, ...]  # that its series have: of the service and its pod, or of the caller and its pod
    callee: str = ""  # the label of the callee (or of the version); "" for a service
    rank: int = 0  # of several that tell the same the lowest is believed
    merged: Literal["sum", "max"] = "max"  # series that turn out to be of one service
    least: float = 0.0  # what stays below it all the time says nothing

    def promql(self, only: Mapping[str, str] | None = None) -> str:
        """The question itself, or about some labels only."""
        more = ",".join(f"{_label(name)}={quoted(value)}" for name, value in (only or {}).items())
        return self.text.replace(f"{{{_GAP}", f"{{{more}").replace(_GAP, f",{more}" if more else "")


@dataclass(frozen=True)
class There:
    """What a Prometheus has: its names as it spells them, and the labels of those that were asked about."""

    names: Mapping[str, str]  # {with underscores: as it is spelt}
    labels: Mapping[str, frozenset[str]]  # {with underscores: labels}

    @staticmethod
    def named(names: Iterable[str]) -> "There":
        """Without any labels."""
        return There({plain(name): name for name in names}, {})


def plain(name: str) -> str:
    """A name of Prometheus 3, which may have dots, as older ones have it."""
    return re.sub(r"[.\-/]", "_", name)


def to_ask_about(there: There) -> list[str]:
    """The metrics whose labels have to be known before anything is asked, with underscores."""
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
    """Metrics that only the rules of channels know, such as those of a datastore, with underscores."""
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
    """Everything to ask; `more` are the names of `others`."""
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
    """What all questions have in common."""

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
        # A label that only failures have may not be there at all: nothing has failed.
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
    # Calls that have a counter of their own are all timed; there may be too many to ask twice.
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
        # A limit that is not set is 0, and a share of it nothing.
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
    """When what runs was changed: generations of deployments, versions of programs."""
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
    """Every counter of a row with the histogram that goes with it; either may be ""."""
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
    """What counts the observations of a histogram: a native one counts itself."""
    return next((name for name in (f"{base}_count", base) if name in there.names), "")


def _matching(pattern: str, there: There) -> list[str]:
    return [name for name in there.names if re.fullmatch(pattern, name)] if pattern else []


def _first(wanted: Iterable[str], labels: frozenset[str]) -> str:
    # Where a scrape has a label of its own, what was measured keeps its as "exported_…".
    ordered = sorted(labels, key=lambda label: label.startswith("exported_"))
    known = {plain(label).removeprefix("exported_"): label for label in ordered}
    return next((known[label] for label in wanted if label in known), "")


def _label(name: str) -> str:
    return name if _SIMPLE.fullmatch(name) else quoted(name)
