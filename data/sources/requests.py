"""Turns counters and histograms of requests into rates, errors and latencies of services and calls."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from data.arrays import Floats
from data.sources.conventions import CALLED, MILLISECONDS, SERVED, SERVICE, Requests
from data.sources.recording import NOBODY, Recording
from data.sources.samples import Labels, Sample, Samples, TimeGrid, added, matches, meets

QUANTILES = {"latency_p50_s": 0.5, "latency_p99_s": 0.99}

Whose = TypeVar("Whose")
Tell = Callable[[Whose, str, Floats], None]


@dataclass
class Counted:
    """What one convention reports about a service or call: rates of each kind."""

    all: list[Floats] = field(default_factory=list)
    failed: list[Floats] = field(default_factory=list)
    knows_failures: bool = False
    unanswered: list[Floats] | None = None  # None where it is not counted
    seconds: list[Floats] = field(default_factory=list)  # of the sum of durations
    durations: list[Floats] = field(default_factory=list)  # of their number
    buckets: dict[float, list[Floats]] = field(default_factory=lambda: defaultdict(list))  # by upper bound
    quantiles: dict[float, list[Floats]] = field(default_factory=lambda: defaultdict(list))


class SideOfCall(NamedTuple):
    """A call as one side sees it."""

    rate: Floats | None
    latency: Floats | None
    lost: Floats | None  # share of calls that nobody answered


def fill_requests(samples: Samples, grid: TimeGrid, recording: Recording) -> set[str]:
    """Adds requests to `recording`; returns the names of the metrics used."""
    used: set[str] = set()
    known: set[str] = set()
    for convention in SERVED:
        whose = partial(samples.service, of=convention.service or SERVICE)
        served = _counted(samples, grid, convention, whose, used)
        for service, counted in served.items():
            if service not in known:
                _tell_service(service, counted, grid, recording)
        known |= served.keys()
    seen: dict[str, dict[tuple[str, str], SideOfCall]] = {"caller": {}, "callee": {}}
    for convention in CALLED:
        called = _counted(samples, grid, convention, partial(_ends, samples, convention), used)
        for pair, counted in called.items():
            _tell_call(pair, convention.seen_by, counted, grid, recording, seen)
    for pair, caller in seen["caller"].items():
        callee, lost = seen["callee"].get(pair, SideOfCall(None, None, None)), caller.lost
        if caller.latency is not None and callee.latency is not None:
            gap = np.maximum(caller.latency - callee.latency, 0.0)
            recording.series(pair, "latency_gap_s", grid.times, gap)
        if caller.rate is not None and callee.rate is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                gone = np.where(caller.rate > 0, np.clip(1.0 - callee.rate / caller.rate, 0.0, 1.0), np.nan)
            lost = gone if lost is None else np.fmax(gone, lost)
        if lost is not None and np.isfinite(lost).any():
            recording.series(pair, "unmatched_share", grid.times, lost)
    return used


def _ends(samples: Samples, convention: Requests, labels: Labels) -> tuple[str, str] | None:
    caller = samples.service(labels, convention.caller)
    callee = samples.service(labels, convention.callee)
    if caller is None or callee is None or caller in NOBODY or callee in NOBODY:
        return None
    return caller, callee


def _counted(
    samples: Samples,
    grid: TimeGrid,
    convention: Requests,
    whose: Callable[[Labels], Whose | None],
    used: set[str],
) -> dict[Whose, Counted]:
    """The rates of every service or call that a convention reports."""
    found: dict[Whose, Counted] = {}

    def each(pattern: str) -> Iterable[tuple[Counted, Sample, float]]:
        for name, sample in samples.named(pattern) if pattern else ():
            if not all(label in sample.labels for label in convention.needs):
                continue
            used.add(name)
            one = whose(sample.labels) if meets(sample.labels, convention.where) else None
            if one is not None:
                yield found.setdefault(one, Counted()), sample, seconds_in(name)

    duration = convention.duration and f"(?:{convention.duration})"
    for counted, sample, _ in each(convention.calls or duration + "_count"):
        rate = grid.rate(sample)
        counted.all.append(rate)
        test = next((one for one in convention.failing if one[0] in sample.labels), None)
        if test is not None:
            counted.knows_failures = True
            if matches(sample.labels[test[0]], test[1], test[2]):
                counted.failed.append(rate)
        if convention.unanswered and all(label in sample.labels for label, *_ in convention.unanswered):
            counted.unanswered = counted.unanswered or []
            if meets(sample.labels, convention.unanswered):
                counted.unanswered.append(rate)
    for counted, sample, _ in each(convention.failed):
        counted.failed.append(grid.rate(sample))
        counted.knows_failures = True
    if duration:
        for counted, sample, unit_s in each(duration + "_bucket"):
            bound = bound_of(sample.labels.get("le", ""))
            if bound is not None and bound == bound:
                counted.buckets[bound * unit_s].append(grid.rate(sample))
        for counted, sample, unit_s in each(duration + "_sum"):
            counted.seconds.append(grid.rate(sample) * unit_s)
        for counted, sample, _ in each(duration + "_count"):
            counted.durations.append(grid.rate(sample))
        for counted, sample, unit_s in each(duration):
            share = bound_of(sample.labels.get("quantile", ""))
            if share is not None:
                counted.quantiles[share].append(grid.values(sample) * unit_s)
    return {one: counted for one, counted in found.items() if counted != Counted()}


def _tell_service(service: str, counted: Counted, grid: TimeGrid, recording: Recording) -> None:
    rate, errors = _traffic(counted, grid.n)
    told = {"request_rate": rate, "error_rate": errors}
    if counted.buckets:
        told |= {name: quantile(share, counted.buckets, grid.n) for name, share in QUANTILES.items()}
    elif counted.quantiles:
        told |= {
            f"latency_p{share * 100:g}_s": np.nanmax(rows, axis=0) if len(rows) > 1 else rows[0]
            for share, rows in counted.quantiles.items()
        }
    else:
        told["latency_mean_s"] = _mean(counted, grid.n)
    for name, values in told.items():
        if values is not None and np.isfinite(values).any():
            recording.series(service, name, grid.times, values)


def _tell_call(
    pair: tuple[str, str],
    side: str,
    counted: Counted,
    grid: TimeGrid,
    recording: Recording,
    seen: dict[str, dict[tuple[str, str], SideOfCall]],
) -> None:
    """Adds a call as one side sees it; the caller's view takes precedence."""
    recording.call(*pair)
    rate, errors = _traffic(counted, grid.n)
    latency = _mean(counted, grid.n)
    if latency is None and counted.buckets:
        latency = quantile(0.5, counted.buckets, grid.n)
    told = {f"latency_{side}_s": latency}
    if side == "caller" or pair not in seen["caller"]:
        told |= {"request_rate": rate, "error_rate": errors}
    lost = None
    if counted.unanswered is not None and rate is not None:
        lost = _share(np.nan_to_num(added(counted.unanswered, grid.n)), rate)
    seen[side].setdefault(pair, SideOfCall(rate, latency, lost))
    for name, values in told.items():
        if values is not None and np.isfinite(values).any():
            recording.series(pair, name, grid.times, values)


def _traffic(counted: Counted, n: int) -> tuple[Floats | None, Floats | None]:
    """Requests per second, and the share that fails."""
    if not counted.all and not counted.failed:
        return None, None
    rate = added(counted.all, n)
    if not counted.knows_failures:
        return rate, None
    return rate, _share(np.nan_to_num(added(counted.failed, n)), rate)


def _share(part: Floats, rate: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(rate > 0, np.clip(part / rate, 0.0, 1.0), np.nan)


def _mean(counted: Counted, n: int) -> Floats | None:
    if not counted.seconds or not counted.durations:
        return None
    seconds, number = added(counted.seconds, n), added(counted.durations, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(number > 0, seconds / number, np.nan)


def quantile(share: float, buckets: Mapping[float, Sequence[Floats]], n: int) -> Floats:
    """The duration that a `share` of the requests stays below, from rates of cumulative buckets: (N,)."""
    bounds = np.array(sorted(buckets))
    counts = np.maximum.accumulate(
        [np.nan_to_num(added(buckets[bound], n)) for bound in bounds], axis=0
    )  # (L, N)
    total = counts[-1]
    wanted = share * total
    index = np.minimum((counts < wanted - 1e-12).sum(axis=0), len(bounds) - 1)
    column = np.arange(n)
    below = np.where(index > 0, counts[index - 1, column], 0.0)
    low = np.where(index > 0, bounds[index - 1], 0.0)
    high = bounds[index]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(
            counts[index, column] > below, (wanted - below) / (counts[index, column] - below), 1.0
        )
        found = np.where(np.isinf(high), low, low + (np.where(np.isinf(high), low, high) - low) * part)
    return np.where(total > 0, found, np.nan)


def bound_of(text: str) -> float | None:
    """The value of a label such as `le` as a number; None if it is not a number."""
    try:
        return float(text)
    except ValueError:
        return None


def seconds_in(name: str) -> float:
    """The factor from the unit of a histogram to seconds."""
    return 1e-3 if re.fullmatch(MILLISECONDS, re.sub("_(bucket|sum|count)$", "", name)) else 1.0
