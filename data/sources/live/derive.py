"""What parts of answers come to: rates of failure, mean durations, gaps between caller and callee, ages.

Shapes: T points of the grid. What cannot be told is NaN, never 0.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from data.incident import Floats

Bools = npt.NDArray[np.bool_]
Values = dict[str, Floats]  # {metric: (T,)}
_LEAST_CALLS = 0.05  # a second: of fewer nothing is said to be missing
_LEAST_MISSING = 0.05  # a smaller share is taken for noise
_NEAR = 9  # points over which the calls that go with one request are counted
_FEWEST_FOR_P99 = 100  # observations in a window; of fewer the slowest alone would tell


def ratio(part: Floats | None, whole: Floats) -> Floats:
    """A share of the whole; a part that was never counted is none of it: (T,)."""
    counted = np.zeros_like(whole) if part is None else np.nan_to_num(part)
    return np.divide(counted, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def requests(parts: Mapping[str, Floats], failures_asked: bool, window_s: float) -> Values:
    """Of one service or call: rate, share of failures, and durations."""
    values = {metric: one for metric, one in parts.items() if not metric.startswith("_")}
    rate = parts.get("request_rate")
    if rate is not None and "latency_p99_s" in values:
        told = np.where(rate * window_s >= _FEWEST_FOR_P99, values.pop("latency_p99_s"), np.nan)
        if np.isfinite(told).sum() > len(told) / 2:
            values["latency_p99_s"] = told
    if rate is not None and (failures_asked or "_failed" in parts):
        values["error_rate"] = np.minimum(ratio(parts.get("_failed"), rate), 1.0)
    for part, timed, metric in (
        ("_seconds", "_timed", "latency_mean_s"),
        ("_callee_seconds", "_callee_timed", "latency_callee_s"),
    ):
        whole = parts.get(timed, rate)
        if part in parts and whole is not None:
            values[metric] = ratio(parts[part], whole)
    return values


def compare(calls: Sequence[Values], callee: Values, window_s: float) -> None:
    """Adds to all calls of one callee what neither side sees alone: the gap, and what never arrived.

    Where the callee's view of each call is not known, its mean over all callers stands for it: then no call
    is given a larger gap than all callers together have.
    """
    mean, served = callee.get("latency_mean_s"), callee.get("request_rate")
    timed = [one for one in calls if "latency_caller_s" in one and "request_rate" in one]
    if mean is not None and len(timed) == len(calls):
        beyond = [one["latency_caller_s"] - mean for one in timed]
        together = np.nansum(
            [one["request_rate"] * more for one, more in zip(timed, beyond, strict=True)], axis=0
        )
        for one, more in zip(timed, beyond, strict=True):
            if "latency_callee_s" not in one:
                rate = np.where(one["request_rate"] > 0, one["request_rate"], np.nan)
                one["latency_callee_s"] = np.where(np.isfinite(one["latency_caller_s"]), mean, np.nan)
                one["latency_gap_s"] = np.minimum(np.maximum(more, 0.0), np.maximum(together / rate, 0.0))
    for one in timed:
        if "latency_callee_s" in one and "latency_gap_s" not in one:
            one["latency_gap_s"] = np.maximum(one["latency_caller_s"] - one["latency_callee_s"], 0.0)
    rates = [one["request_rate"] for one in calls if "request_rate" in one]
    if served is not None and rates and len(rates) == len(calls):
        called = np.nansum(rates, axis=0)
        enough = np.maximum(called, _LEAST_CALLS)
        noise = 2.0 / np.sqrt(enough * window_s)  # of counts that are scraped at different moments
        missing = np.clip(1.0 - np.nan_to_num(served) / enough - noise, 0.0, 1.0)
        missing[missing < _LEAST_MISSING] = 0.0
        for one in calls:
            one["unmatched_share"] = np.where(called > _LEAST_CALLS, missing, np.nan)


def failing_calls(calls: Sequence[Values]) -> Floats | None:
    """The share of all calls of one caller that fail; None where that is not known of every call: (T,)."""
    if not all("request_rate" in one and "error_rate" in one for one in calls):
        return None
    rates = [one["request_rate"] for one in calls]
    failed = [rate * one["error_rate"] for rate, one in zip(rates, calls, strict=True)]
    return ratio(np.nansum(failed, axis=0), np.nansum(rates, axis=0))


def own_latency(service: Values, calls: Sequence[Values]) -> Floats | None:
    """What a service takes itself, were its calls made in turn; None where not all are timed: (T,).

    The calls of one window are not quite those of its requests. How many go with a request is counted in the
    window or over some around it, whichever gives the calmer series.
    """
    timed = all({"request_rate", "latency_caller_s"} <= one.keys() for one in calls)
    if not timed or not {"request_rate", "latency_mean_s"} <= service.keys():
        return None
    found = []
    for counted in (np.nan_to_num, _around):
        requested = counted(service["request_rate"])
        waited = [ratio(counted(one["request_rate"]), requested) * one["latency_caller_s"] for one in calls]
        found.append(service["latency_mean_s"] - np.nansum(waited, axis=0))
    jumps = [np.abs(np.diff(own[np.isfinite(own)])) for own in found]
    own = min(
        zip(found, jumps, strict=True), key=lambda one: float(np.median(one[1])) if len(one[1]) else 0.0
    )[0]
    known = own[np.isfinite(own)]
    overlap = not known.size or np.median(known) <= 0
    return None if overlap else np.maximum(own, 0.0)


def _around(rate: Floats) -> Floats:
    """Summed over each point and those near it: (T,)."""
    near = np.convolve(np.nan_to_num(rate), np.ones(_NEAR))  # (T + _NEAR - 1,)
    return near[_NEAR // 2 : _NEAR // 2 + len(rate)]


def restarts(uptime_s: Floats) -> Floats:
    """How often something has started anew, counted from the first point: (T,)."""
    known = np.isfinite(uptime_s)
    index = np.maximum.accumulate(np.where(known, np.arange(len(uptime_s)), 0))
    fell = np.diff(uptime_s[index], prepend=uptime_s[index[0]]) < 0
    return np.where(known, np.cumsum(fell), np.nan)


def moved(values: Floats) -> Bools:
    """Where a number differs from the last known one: (T,)."""
    known = np.flatnonzero(np.isfinite(values))
    changed = np.zeros(len(values), dtype=bool)
    if known.size:
        changed[known[1:]] = np.diff(values[known]) != 0
    return changed


def replaced(versions: Mapping[str, Bools]) -> Bools:
    """Where a version runs for the first time after others did: (T,)."""
    firsts = [int(seen.argmax()) for seen in versions.values() if seen.any()]
    changed = np.zeros(len(next(iter(versions.values()))), dtype=bool)
    changed[[first for first in firsts if first > min(firsts)]] = True
    return changed


def age(changed: Bools, step_s: float) -> Floats:
    """Seconds since the last change, unknown before the first: (T,)."""
    index = np.arange(len(changed))
    last = np.maximum.accumulate(np.where(changed, index, -1))
    return np.where(last >= 0, (index - last) * step_s, np.nan)
