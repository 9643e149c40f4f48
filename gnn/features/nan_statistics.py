"""Statistics of arrays with missing values: medians, gaps, and comparisons with peers.

Shapes: M metrics, S services, T points, C columns.
"""

import numpy as np
import numpy.typing as npt

from data.arrays import Bools, Floats

MAD_TO_SIGMA = 1.4826
# Added to the spread: among few services it may be small by chance.
_LEAST_SPREAD = 0.3


def longest_gap(points: Floats) -> npt.NDArray[np.int32]:
    """The longest run of missing points after the first known one: (M, S)."""
    there = np.isfinite(points)
    if there.all():
        return np.zeros(points.shape[:2], dtype=np.int32)
    position = np.arange(points.shape[2], dtype=np.int32)  # there may be millions of series
    seen = np.maximum.accumulate(np.where(there, position, -1), axis=2)
    gap = np.where(seen >= 0, position - seen, 0)
    return np.asarray(gap.max(axis=2, initial=0))


def carry_forward(now: Floats, there: Bools) -> Floats:
    """`now` with gaps filled by the last known value, and leading gaps by the first one."""
    if there.all() or now.shape[2] == 1:
        return now
    index = np.where(there, np.arange(now.shape[2]), 0)
    np.maximum.accumulate(index, axis=2, out=index)
    filled = np.take_along_axis(now, index, axis=2)
    first = np.take_along_axis(now, there.argmax(axis=2)[..., None], axis=2)
    return np.where(np.isfinite(filled), filled, first)


def among_peers(values: Floats) -> Floats:
    """asinh of the robust z of each service's value among all services: (M, S) → (M, S)."""
    center = nanmedian(values, axis=1, keepdims=True)
    spread = MAD_TO_SIGMA * nanmedian(np.abs(values - center), axis=1, keepdims=True)
    return or_zero(np.arcsinh((values - center) / (spread + _LEAST_SPREAD)))


def beyond_peers(values: Floats) -> Floats:
    """How far each share is above (or below) the highest of the others: asinh(20 × difference), (M, S)."""
    if values.shape[1] < 2:
        return np.zeros_like(values)
    known = np.where(np.isfinite(values), values, -np.inf)
    second, best = np.partition(known, -2, axis=1)[:, -2:].T[..., None]
    other = np.where(known == best, second, best)
    return or_zero(np.arcsinh(20.0 * (known - other)))


def kth_highest(values: Floats, k: int, least: int) -> Floats:
    """The `k`-th highest of each series with at least `least` points, else its highest: (M, S, T) → (M, S).

    Unlike the maximum, it ignores single outliers. -inf where nothing is known.
    """
    ordered = np.sort(np.where(np.isfinite(values), values, -np.inf), axis=2)
    rank = np.where(np.isfinite(values).sum(axis=2, keepdims=True) >= least, k, 1)
    return np.asarray(np.take_along_axis(ordered, values.shape[2] - rank, axis=2)[..., 0])


def share_below(columns: Floats) -> Floats:
    """The share of services with a smaller value, per column: (S, C) → (S, C)."""
    ordered = np.sort(columns, axis=0)
    below = [np.searchsorted(ordered[:, i], columns[:, i]) for i in range(columns.shape[1])]
    return np.stack(below, axis=1) / max(len(columns), 1)


def or_zero(values: Floats) -> Floats:
    """`values` with 0 where they are not finite."""
    return np.where(np.isfinite(values), values, 0.0)


def nanmedian(values: Floats, axis: int, keepdims: bool = False) -> Floats:
    """`np.nanmedian` along one non-empty axis; many times faster on small arrays."""
    ordered = np.sort(values, axis=axis)  # NaN last
    count = np.isfinite(ordered).sum(axis=axis, keepdims=True)
    length = values.shape[axis]
    if count.min(initial=length) == length:  # nothing is missing
        median = 0.5 * (ordered.take([(length - 1) // 2], axis=axis) + ordered.take([length // 2], axis=axis))
    else:
        lower, upper = np.maximum(count - 1, 0) // 2, count // 2
        upper = np.minimum(upper, np.maximum(count - 1, 0))
        low = np.take_along_axis(ordered, lower, axis=axis)
        high = np.take_along_axis(ordered, upper, axis=axis)
        median = np.where(count > 0, 0.5 * (low + high), np.nan)
    return median if keepdims else np.squeeze(median, axis=axis)
