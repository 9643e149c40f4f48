"""Computes metrics from parts: failure rates, mean durations, gaps between caller and callee, ages.

Shapes: N services or calls, S services, E calls, T points of the grid. Unknown values are NaN, never 0.
"""

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data.arrays import Bools, Floats, Ints

Places = Ints  # (E,) which service each call is from, or for
Table = dict[str, Floats]  # {metric: (N, T)}; rows without it are NaN
_LEAST_CALLS = 0.05  # per second: below this, no calls count as missing
_LEAST_MISSING = 0.05  # a smaller share is noise
_NEAR = 9  # points over which calls per request are counted
_FEWEST_FOR_P99 = 100  # observations in a window; with fewer, a single slow one would decide


def ratio(part: Floats, whole: Floats) -> Floats:
    """A share of the whole; a part that was never counted is 0: (N, T)."""
    return np.divide(np.nan_to_num(part), whole, out=np.full_like(whole, np.nan), where=whole > 0)


def any_known(rows: Floats) -> Bools:
    """Which rows have a value: (N,)."""
    return np.asarray(np.isfinite(rows).any(axis=1))


def requests(parts: Mapping[str, Floats], asked: Mapping[str, Bools], window_s: float) -> Table:
    """Rate, shares of failed and of unanswered calls, and durations, from their parts.

    Args:
        asked: {part: (N,) who counts it, even if there was none}.
        window_s: over which rates are taken.
    """
    values = {metric: rows for metric, rows in parts.items() if not metric.startswith("_")}
    rate = parts.get("request_rate")
    if rate is not None and "latency_p99_s" in values:
        p99 = np.where(
            (rate * window_s >= _FEWEST_FOR_P99) | ~any_known(rate)[:, None], values["latency_p99_s"], np.nan
        )
        often = np.isfinite(p99).sum(axis=1) > p99.shape[1] / 2
        values["latency_p99_s"] = np.where(often[:, None], p99, np.nan)
    for part, metric in (("_failed", "error_rate"), ("_unanswered", "unmatched_share")):
        if rate is not None:
            counted = parts.get(part, np.full_like(rate, np.nan))
            known = any_known(counted) | asked.get(part, np.zeros(len(rate), dtype=bool))
            values[metric] = np.where(known[:, None], np.minimum(ratio(counted, rate), 1.0), np.nan)
    for part, timed, metric in (
        ("_seconds", "_timed", "latency_mean_s"),
        ("_callee_seconds", "_callee_timed", "latency_callee_s"),
    ):
        if part not in parts or (rate is None and timed not in parts):
            continue
        whole = parts.get(timed, rate)
        assert whole is not None
        if rate is not None:
            whole = np.where(any_known(whole)[:, None], whole, rate)
        values[metric] = np.where(any_known(parts[part])[:, None], ratio(parts[part], whole), np.nan)
    return values


def compare(calls: Table, callee: Places, services: Table, window_s: float) -> None:
    """Adds what neither side of a call sees alone: the gap, and the share without an answer.

    If the callee's view of each call is unknown, its mean over all callers replaces it; then no call gets a
    larger gap than all callers together.
    """
    rate, caller_s = calls.get("request_rate"), calls.get("latency_caller_s")
    if rate is None:
        return
    counted = any_known(rate)
    mean, served = services.get("latency_mean_s"), services.get("request_rate")
    if caller_s is not None:
        timed = counted & any_known(caller_s)
        callee_s = calls.get("latency_callee_s", np.full_like(rate, np.nan))
        gap = calls.get("latency_gap_s", np.full_like(rate, np.nan))
        known, no_gap = any_known(callee_s), ~any_known(gap)
        if mean is not None:
            beyond = caller_s - mean[callee]
            together = summed(np.nan_to_num(rate * beyond), callee, len(mean))[callee]
            over_all = (_all(timed, callee, len(mean)) & any_known(mean))[callee] & ~known
            least = np.maximum(together / np.where(rate > 0, rate, np.nan), 0.0)
            gap = np.where(over_all[:, None], np.minimum(np.maximum(beyond, 0.0), least), gap)
            as_all = np.where(np.isfinite(caller_s), mean[callee], np.nan)
            callee_s = np.where(over_all[:, None], as_all, callee_s)
        seen = timed & known & no_gap
        gap = np.where(seen[:, None], np.maximum(caller_s - callee_s, 0.0), gap)
        calls["latency_callee_s"], calls["latency_gap_s"] = callee_s, gap
    if served is not None:
        called = summed(np.nan_to_num(rate), callee, len(served))
        enough = np.maximum(called, _LEAST_CALLS)
        noise = 2.0 / np.sqrt(enough * window_s)  # of counts that are scraped at different moments
        missing = np.clip(1.0 - np.nan_to_num(served) / enough - noise, 0.0, 1.0)
        missing[missing < _LEAST_MISSING] = 0.0
        known = _all(counted, callee, len(served)) & any_known(served)
        missing[~known] = np.nan
        lost = np.where(called > _LEAST_CALLS, missing, np.nan)[callee]
        calls["unmatched_share"] = np.fmax(lost, calls.get("unmatched_share", lost))


def failing_calls(calls: Table, caller: Places, n: int) -> Floats | None:
    """The share of each caller's calls that fail; NaN unless that is known for all of them: (S, T)."""
    rate, failing = calls.get("request_rate"), calls.get("error_rate")
    if rate is None or failing is None:
        return None
    known = _all(any_known(rate) & any_known(failing), caller, n)
    share = ratio(summed(np.nan_to_num(rate * failing), caller, n), summed(np.nan_to_num(rate), caller, n))
    return np.where(known[:, None], share, np.nan)


def own_latency(services: Table, calls: Table, caller: Places) -> Floats | None:
    """Each service's own latency, if its calls are sequential; NaN unless all are timed: (S, T).

    The calls in a window don't exactly match its requests. Calls per request are counted in the window or
    also around it, whichever gives the steadier series.
    """
    rate, caller_s = calls.get("request_rate"), calls.get("latency_caller_s")
    served, mean = services.get("request_rate"), services.get("latency_mean_s")
    if rate is None or caller_s is None or served is None or mean is None:
        return None
    known = _all(any_known(rate) & any_known(caller_s), caller, len(mean))
    found = []
    for count in (np.nan_to_num, _around):
        waited = ratio(count(rate), count(served)[caller]) * caller_s
        found.append(mean - summed(np.nan_to_num(waited), caller, len(mean)))
    jumps = [_middle(np.abs(np.diff(own, axis=1))) for own in found]
    own = np.where((jumps[0] <= jumps[1])[:, None], *found)
    overlaps = _middle(own) <= 0
    return np.where((known & ~overlaps)[:, None], np.maximum(own, 0.0), np.nan)


def summed(rows: Floats, places: Places, n: int) -> Floats:
    """The rows of each place added up: (n, T)."""
    total = np.zeros((n, rows.shape[1]))
    order = np.argsort(places, kind="stable")
    there, starts = np.unique(places[order], return_index=True)
    if len(there):
        total[there] = np.add.reduceat(rows[order], starts, axis=0)
    return total


def _all(wanted: Bools, places: Places, n: int) -> Bools:
    """Which places have calls, all of them wanted: (n,)."""
    there, lacking = np.bincount(places, minlength=n), np.bincount(places[~wanted], minlength=n)
    return np.asarray((there > 0) & (lacking == 0))


def _middle(rows: Floats) -> Floats:
    """The median of the known values of each row, the lower of two; 0 without any: (N,)."""
    count = np.isfinite(rows).sum(axis=1, keepdims=True)
    if not rows.shape[1]:
        return np.zeros(len(rows))
    return np.nan_to_num(
        np.take_along_axis(np.sort(rows, axis=1), np.maximum(count - 1, 0) // 2, axis=1)[:, 0]
    )


def _around(rate: Floats) -> Floats:
    """Summed over each point and those near it: (N, T)."""
    padded = np.pad(np.nan_to_num(rate), ((0, 0), (_NEAR // 2, _NEAR // 2)))
    return np.asarray(sliding_window_view(padded, _NEAR, axis=1).sum(axis=2))


def restarts(uptime_s: Floats) -> Floats:
    """The number of restarts since the first point: (N, T)."""
    known = np.isfinite(uptime_s)
    index = np.maximum.accumulate(np.where(known, np.arange(uptime_s.shape[1]), 0), axis=1)
    last = np.take_along_axis(uptime_s, index, axis=1)
    fell = np.diff(last, axis=1, prepend=last[:, :1]) < 0
    return np.where(known, np.cumsum(fell, axis=1), np.nan)


def moved(values: Floats) -> Bools:
    """Where a value differs from the last known one: (T,)."""
    known = np.flatnonzero(np.isfinite(values))
    changed = np.zeros(len(values), dtype=bool)
    if known.size:
        changed[known[1:]] = np.diff(values[known]) != 0
    return changed


def replaced(versions: Mapping[str, Bools]) -> Bools:
    """Where a new version runs for the first time: (T,)."""
    firsts = [int(seen.argmax()) for seen in versions.values() if seen.any()]
    changed = np.zeros(len(next(iter(versions.values()))), dtype=bool)
    changed[[first for first in firsts if first > min(firsts)]] = True
    return changed


def age(changed: Bools, step_s: float) -> Floats:
    """Seconds since the last change, unknown before the first: (T,)."""
    index = np.arange(len(changed))
    last = np.maximum.accumulate(np.where(changed, index, -1))
    return np.where(last >= 0, (index - last) * step_s, np.nan)
