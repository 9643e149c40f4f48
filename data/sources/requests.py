"""Turns counters and histograms of requests into the parts of metrics of services and calls."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from data.arrays import Floats
from data.sources.combine import MetricPart
from data.sources.conventions import CALLED, MILLISECONDS, SERVED, SERVICE, Requests
from data.sources.recording import NOBODY, Whose
from data.sources.samples import Grid, Labels, Sample, Samples, added, matches, meets

QUANTILES = {"latency_p50_s": 0.5, "latency_p99_s": 0.99}
_BEHIND_CALLERS = 100  # the rank of a callee's view: it counts where no caller is measured


def request_parts(samples: Samples, grid: Grid, used: set[str]) -> Iterator[MetricPart]:
    """The parts that each convention tells; adds the names of the metrics to `used`."""
    for table in (SERVED, CALLED):
        for rank, convention in enumerate(table):
            is_behind = convention.seen_by == "callee" and table is CALLED
            told: defaultdict[str, list[tuple[Whose, Floats]]] = defaultdict(list)
            for metric, one, values in _told(samples, grid, convention, used):
                told[metric].append((one, values))
            for metric, rows in told.items():
                yield MetricPart(
                    metric,
                    [one for one, _ in rows],
                    np.array([values for _, values in rows]),
                    of_calls=table is CALLED,
                    rank=rank + _BEHIND_CALLERS * is_behind,
                    merged="max" if metric.startswith("latency") else "sum",
                )


def _told(
    samples: Samples, grid: Grid, convention: Requests, used: set[str]
) -> Iterator[tuple[str, Whose, Floats]]:
    """Yields (part, service or call, values)."""

    def each(pattern: str) -> Iterator[tuple[Whose, Sample, float]]:
        for name, sample in samples.named(pattern) if pattern else ():
            if not all(label in sample.labels for label in convention.needs):
                continue
            used.add(name)
            one = _whose(samples, convention, sample.labels)
            if one is not None and meets(sample.labels, convention.where):
                yield one, sample, seconds_in(name)

    duration = convention.duration and f"(?:{convention.duration})"
    for one, sample, _ in each(convention.calls or duration + "_count"):
        rate = grid.rate(sample)
        yield "request_rate", one, rate
        test = next((test for test in convention.failing if test[0] in sample.labels), None)
        if test is not None:
            yield "_failed", one, rate * matches(sample.labels[test[0]], test[1], test[2])
        if convention.unanswered and all(label in sample.labels for label, *_ in convention.unanswered):
            yield "_unanswered", one, rate * meets(sample.labels, convention.unanswered)
    for one, sample, _ in each(convention.failed):
        yield "_failed", one, grid.rate(sample)
    if not duration:
        return
    view = "_callee" if convention.callee and convention.seen_by == "callee" else ""
    for one, sample, unit_s in each(duration + "_sum"):
        yield f"{view}_seconds", one, grid.rate(sample) * unit_s
    for one, sample, _ in each(duration + "_count"):
        yield f"{view}_timed", one, grid.rate(sample)
    if convention.callee:
        return
    buckets: defaultdict[Whose, defaultdict[float, list[Floats]]] = defaultdict(lambda: defaultdict(list))
    for one, sample, unit_s in each(duration + "_bucket"):
        bound = bound_of(sample.labels.get("le", ""))
        if bound is not None and bound == bound:
            buckets[one][bound * unit_s].append(grid.rate(sample))
    for one, by_bound in buckets.items():
        for metric, share in QUANTILES.items():
            yield metric, one, quantile(share, by_bound, grid.n)
    for one, sample, unit_s in each(duration):
        told = bound_of(sample.labels.get("quantile", ""))
        if told is not None:
            yield f"latency_p{told * 100:g}_s", one, grid.values(sample) * unit_s


def _whose(samples: Samples, convention: Requests, labels: Labels) -> Whose | None:
    """The service or call of a series."""
    if not convention.callee:
        return samples.service(labels, convention.service or SERVICE)
    caller = samples.service(labels, convention.caller)
    callee = samples.service(labels, convention.callee)
    if caller is None or callee is None or caller in NOBODY or callee in NOBODY or caller == callee:
        return None
    return caller, callee


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
