"""Turns Prometheus' answers into a recording: parts combined, names unified, each metric with its query.

Shapes: N services or calls, T points of the grid.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar, cast

import numpy as np

from data.arrays import Bools, Floats
from data.sources.live import derive
from data.sources.live.names import Names, infrastructure
from data.sources.live.prometheus import Grid, Rows
from data.sources.live.queries import Query
from data.sources.recording import Recording, Whose

One = TypeVar("One", bound=Hashable)  # a service, or a call

_UNKNOWN = 1_000  # the rank of requests that no convention counts
# Request metrics come from a single convention, as far as it has them.
_COUNTED = frozenset({"request_rate", "_failed", "_unanswered", "_seconds", "_timed"})
# The parts that a metric is made of, and what it is a share of.
_BEHIND: Mapping[str, tuple[str, ...]] = {
    "error_rate": ("_failed", "request_rate"),
    "latency_mean_s": ("_seconds", "_timed", "request_rate"),
    "latency_caller_s": ("_seconds", "_timed", "request_rate"),
    "own_latency_s": ("_seconds", "_timed", "request_rate"),
    "latency_gap_s": ("_seconds", "_timed", "request_rate"),
    "latency_callee_s": ("_callee_seconds", "_callee_timed"),
    "unmatched_share": ("_unanswered", "request_rate"),
    "restarts": ("uptime_s",),
    "deploy_age_s": ("_version",),
}


class Answer(NamedTuple):
    """A query and its answer."""

    query: Query
    rows: Rows


class Told(NamedTuple):
    """The query behind a metric, and the labels of its series."""

    query: Query
    labels: Mapping[str, str]
    over: Query | None = None  # what it is a share of

    @property
    def promql(self) -> str:
        """The query for this one service or call alone."""
        wanted = self.query.labels
        if self.query.metric != "_version":
            wanted = (*wanted, self.query.callee)
        only = {label: self.labels[label] for label in wanted if self.labels.get(label)}
        text = self.query.promql(only)
        return f"{text} / {self.over.promql(only)}" if self.over else text


class _Part(NamedTuple):
    """One answer, with the service or call of each row; other rows are left out."""

    query: Query
    whose: Sequence[Whose]
    labels: Sequence[Mapping[str, str]]
    values: Floats  # (N, T)


class Questions:
    """The query behind each metric of a service or call."""

    def __init__(
        self, parts: Iterable[_Part] = (), worst: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self._worst = worst or {}  # {caller: its call that fails most}
        self._told: dict[str, list[tuple[Query, dict[Whose, Mapping[str, str]]]]] = {}
        for part in sorted(parts, key=lambda part: part.query.rank):
            labels = dict(zip(reversed(part.whose), reversed(part.labels), strict=True))  # the first counts
            self._told.setdefault(part.query.metric, []).append((part.query, labels))

    def promql(self, whose: Whose, metric: str) -> str:
        """The query that shows a metric of one service or call alone, or ""."""
        told = self.get(whose, metric)
        return told.promql if told else ""

    def get(self, whose: Whose, metric: str) -> Told | None:
        """The query behind a metric, or behind the first of its parts, or None."""
        if metric == "client_error_rate":
            call = self._worst.get(whose) if isinstance(whose, str) else None
            return self.get(call, "error_rate") if call else None
        part, *wholes = _BEHIND.get(metric, (metric,))
        over = next((told for name in wholes if (told := self._first(whose, name))), None)
        for name in (metric, part, *wholes[-1:], "_generation"):
            if told := self._first(whose, name):
                same = over is not None and name == part and over.query.labels == told.query.labels
                return told._replace(over=over.query if over and same else None)
        return None

    def _first(self, whose: Whose, metric: str) -> Told | None:
        told = self._told.get(metric, ())
        return next((Told(query, labels[whose]) for query, labels in told if whose in labels), None)


def learn(names: Names, answers: Iterable[Answer]) -> None:
    """Learns names from all answers, before any is recorded."""
    for query, rows in answers:
        if query.metric != "request_rate":
            continue
        for labels in rows.labels:
            own = [labels.get(label, "") for label in query.labels]
            names.service(own[0])
            if len(own) > 1:
                names.pod(own[1], own[0])


def put_down(recording: Recording, answers: Iterable[Answer], names: Names, grid: Grid) -> Questions:
    """Adds the answers to a recording; returns the query behind each metric."""
    parts = [_brought_together(query, rows, names) for query, rows in answers]
    versions = _versions(part for part in parts if part.query.metric == "_version")
    others = [part for part in parts if part.query.metric != "_version"]
    called = _Collected[tuple[str, str]]([part for part in others if part.query.callee], grid)
    ends = [pair[end] for pair in called.place for end in (0, 1)]
    served = _Collected[str]([part for part in others if not part.query.callee], grid, (*ends, *versions))
    services, calls = served.table, called.table
    _tell_changes(served, versions, grid)
    worst = _compared(served, called, grid)
    told_at = [np.isfinite(rows).any(axis=0) for rows in (*services.values(), *calls.values())]
    if told_at and len(when := np.flatnonzero(np.any(told_at, axis=0))):
        least = {part.query.metric: part.query.least for part in others if part.query.least}
        span = slice(when[0], when[-1] + 1)
        for of in (called, served):
            for metric, rows in of.table.items():
                # False where nothing is known.
                kept = np.flatnonzero(np.fmax.reduce(rows, axis=1) >= least.get(metric, -np.inf))
                whose = [of.names[row] for row in kept.tolist()]
                recording.table(metric, whose, grid.times_s[span], rows[kept, span])
    for name in recording.names:
        for pod in names.replicas(name):
            recording.call(name, pod)
    for pod, owner in names.owners(recording.names).items():
        recording.owners[pod] = owner
    return Questions(parts, worst)


class _Collected(Generic[One]):
    """The answers about all services, or about all calls."""

    def __init__(self, parts: Sequence[_Part], grid: Grid, more: Iterable[One] = ()) -> None:
        measured = dict.fromkeys(cast(One, one) for part in parts for one in part.whose)
        self.names = tuple(dict.fromkeys((*measured, *more)))
        self.place = {name: row for row, name in enumerate(self.names)}
        self.is_measured = np.arange(len(self.names)) < len(measured)
        found: dict[str, Floats] = {}
        believed = np.full(len(self.names), _UNKNOWN)  # the convention that counts the requests of each
        by_rank: defaultdict[tuple[int, str], list[_Part]] = defaultdict(list)
        for part in parts:
            by_rank[part.query.rank, part.query.metric].append(part)
            if part.query.metric == "request_rate":
                np.minimum.at(believed, self._rows(part), part.query.rank)
        for rank, metric in sorted(by_rank, reverse=True):  # the lowest last: it is believed
            same = by_rank[rank, metric]
            rows, values = _merged(
                np.concatenate([self._rows(part) for part in same]),
                np.concatenate([part.values for part in same]),
                same[0].query.merged,
            )
            if metric in _COUNTED:
                usable = (believed[rows] == rank) | (believed[rows] == _UNKNOWN)
                rows, values = rows[usable], values[usable]
            if len(rows):
                empty = np.full((len(self.names), values.shape[1]), np.nan)
                found.setdefault(metric, empty)[rows] = values
        asked = {
            part: np.isin(believed, [rank for rank, metric in by_rank if metric == part])
            for part in ("_failed", "_unanswered")
        }
        self.parts = found
        self.table = derive.requests(found, asked, grid.rate_s)

    def _rows(self, part: _Part) -> derive.Places:
        return np.array([self.place[cast(One, one)] for one in part.whose], dtype=np.int64)


def _compared(
    served: _Collected[str], called: _Collected[tuple[str, str]], grid: Grid
) -> dict[str, tuple[str, str]]:
    """Adds what services and calls show together; returns each caller's call that fails most."""
    services, calls, n = served.table, called.table, len(served.names)
    ends = np.array([[served.place[one] for one in pair] for pair in called.names], dtype=np.int64)
    caller, callee = ends.reshape(-1, 2).T
    if "latency_mean_s" in calls:
        calls["latency_caller_s"] = calls.pop("latency_mean_s")
    derive.compare(calls, callee, services, grid.rate_s)
    if (own := derive.own_latency(services, calls, caller)) is not None:
        services["own_latency_s"] = own
    if {"latency_mean_s", "latency_p50_s", "latency_p99_s"} <= services.keys():
        tails = [derive.any_known(services[metric]) for metric in ("latency_p50_s", "latency_p99_s")]
        services["latency_mean_s"][np.all(tails, axis=0)] = np.nan  # tells the same
    failing = derive.failing_calls(calls, caller, n)
    if failing is None:
        return {}
    services["client_error_rate"] = np.where(served.is_measured[:, None], failing, np.nan)
    most = np.fmax.reduce(calls["error_rate"], axis=1, initial=-1.0)
    return {called.names[row][0]: called.names[row] for row in np.argsort(most, kind="stable").tolist()}


def _tell_changes(served: _Collected[str], versions: Mapping[str, Mapping[str, Bools]], grid: Grid) -> None:
    """Adds when each service was changed and how often it restarted; scaling is no change."""
    services, generation, scale = (
        served.table,
        *(served.parts.get(name) for name in ("_generation", "_scale")),
    )
    if "uptime_s" in services:
        anew = derive.restarts(services["uptime_s"])
        counted = services.setdefault("restarts", anew)
        services["restarts"] = np.where(derive.any_known(counted)[:, None], counted, anew)
    for name, row in served.place.items():
        changed = derive.replaced(versions[name]) if name in versions else None
        if generation is not None:
            grown = derive.moved(generation[row])
            if scale is not None:
                grown &= ~derive.moved(scale[row])
            changed = grown if changed is None else changed | grown
        if changed is not None and changed.any():
            empty = np.full((len(served.names), len(changed)), np.nan)
            services.setdefault("deploy_age_s", empty)[row] = derive.age(changed, grid.step_s)


def _versions(parts: Iterable[_Part]) -> dict[str, dict[str, Bools]]:
    """When each version of each service ran: {service: {version: (T,)}}."""
    found: defaultdict[str, dict[str, Bools]] = defaultdict(dict)
    for part in parts:
        for whose, labels, values in zip(part.whose, part.labels, part.values, strict=True):
            versions, version = found[str(whose)], labels.get(part.query.callee, "")
            versions[version] = versions.get(version, False) | np.isfinite(values)
    return found


def _brought_together(query: Query, rows: Rows, names: Names) -> _Part:
    whose = [_whose(query, labels, names) for labels in rows.labels]
    kept = [row for row, one in enumerate(whose) if one is not None]
    labels = [rows.labels[row] for row in kept]
    values = rows.values if len(kept) == len(whose) else rows.values[kept]
    return _Part(query, [one for one in whose if one is not None], labels, values)


def _whose(query: Query, labels: Mapping[str, str], names: Names) -> Whose | None:
    own = [labels.get(label, "") for label in query.labels]
    name = names.resolve(*own)
    if not name or infrastructure(name):
        return None
    if not query.callee or query.metric == "_version":
        return name
    callee = names.resolve(labels.get(query.callee, ""))
    return (name, callee) if callee and callee != name else None


def _merged(rows: derive.Places, values: Floats, how: str) -> tuple[derive.Places, Floats]:
    """Merges series of the same service or call; returns the rows, each once, and their values."""
    order = np.argsort(rows, kind="stable")
    different, starts = np.unique(rows[order], return_index=True)
    if len(different) == len(rows):
        return rows, values
    if how == "max":
        return different, np.fmax.reduceat(values[order], starts, axis=0)
    known = np.isfinite(values[order])
    total = np.add.reduceat(np.where(known, values[order], 0.0), starts, axis=0)
    return different, np.where(np.logical_or.reduceat(known, starts, axis=0), total, np.nan)
