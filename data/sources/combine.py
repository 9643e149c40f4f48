"""Combines the parts that metrics are made of: counts and sums become rates, shares and mean durations.

Files and live sources give the same parts. Shapes: N services or calls, T points of the grid.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar, cast

import numpy as np

from data.arrays import Bools, Floats
from data.sources import derive
from data.sources.recording import Recording, Whose
from data.sources.samples import Grid

One = TypeVar("One", bound=Hashable)  # a service, or a call

_UNKNOWN = 1_000  # the rank of requests that no convention counts
# Request metrics come from a single convention, as far as it has them.
_COUNTED = frozenset({"request_rate", "_failed", "_unanswered", "_seconds", "_timed"})


class MetricPart(NamedTuple):
    """Series of one metric, each of a service or a call."""

    metric: str  # its name in the recording; with a leading "_", a part of others
    whose: Sequence[Whose]
    values: Floats  # (N, T)
    of_calls: bool = False
    rank: int = 0  # of several for the same metric, the lowest counts
    merged: Literal["sum", "max"] = "max"  # how to merge series of one service
    least: float = 0.0  # series that stay below this are dropped
    versions: Sequence[str] = ()  # which version each series is of, for "_version"


def combine(recording: Recording, parts: Sequence[MetricPart], grid: Grid) -> dict[str, tuple[str, str]]:
    """Adds what the parts show to a recording; returns each caller's call that fails most."""
    versions = _versions(part for part in parts if part.metric == "_version")
    others = [part for part in parts if part.metric != "_version"]
    called = _Collected[tuple[str, str]]([part for part in others if part.of_calls], grid)
    ends = [pair[end] for pair in called.place for end in (0, 1)]
    served = _Collected[str]([part for part in others if not part.of_calls], grid, (*ends, *versions))
    services, calls = served.table, called.table
    _tell_changes(served, versions, grid)
    worst = _compared(served, called, grid)
    for pair in called.names:
        recording.call(*pair)
    told_at = [np.isfinite(rows).any(axis=0) for rows in (*services.values(), *calls.values())]
    if told_at and len(when := np.flatnonzero(np.any(told_at, axis=0))):
        least = {part.metric: part.least for part in others if part.least}
        span = slice(when[0], when[-1] + 1)
        for of in (called, served):
            for metric, rows in of.table.items():
                # False where nothing is known.
                kept = np.flatnonzero(np.fmax.reduce(rows, axis=1) >= least.get(metric, -np.inf))
                whose = [of.names[row] for row in kept.tolist()]
                recording.table(metric, whose, grid.times_s[span], rows[kept, span])
    return worst


class _Collected(Generic[One]):
    """What is told of all services, or of all calls."""

    def __init__(self, parts: Sequence[MetricPart], grid: Grid, more: Iterable[One] = ()) -> None:
        measured = dict.fromkeys(cast(One, one) for part in parts for one in part.whose)
        self.names = tuple(dict.fromkeys((*measured, *more)))
        self.place = {name: row for row, name in enumerate(self.names)}
        self.is_measured = np.arange(len(self.names)) < len(measured)
        found: dict[str, Floats] = {}
        believed = np.full(len(self.names), _UNKNOWN)  # the convention that counts the requests of each
        by_rank: defaultdict[tuple[int, str], list[MetricPart]] = defaultdict(list)
        for part in parts:
            by_rank[part.rank, part.metric].append(part)
            if part.metric == "request_rate":
                np.minimum.at(believed, self._rows(part), part.rank)
        for rank, metric in sorted(by_rank, reverse=True):  # the lowest last: it is believed
            same = by_rank[rank, metric]
            rows, values = _merged(
                np.concatenate([self._rows(part) for part in same]),
                np.concatenate([part.values for part in same]),
                same[0].merged,
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

    def _rows(self, part: MetricPart) -> derive.Places:
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


def _versions(parts: Iterable[MetricPart]) -> dict[str, dict[str, Bools]]:
    """When each version of each service ran: {service: {version: (T,)}}."""
    found: defaultdict[str, dict[str, Bools]] = defaultdict(dict)
    for part in parts:
        for whose, version, values in zip(part.whose, part.versions, part.values, strict=True):
            versions = found[str(whose)]
            versions[version] = versions.get(version, False) | np.isfinite(values)
    return found


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
