"""Aligns values at any times to series on one grid, with the healthy past and the incident separate."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

from data.arrays import Floats, Ints
from data.incident import Series

_SAMPLE = 400  # series to read the step from
_BATCH = 4096  # series aligned at once

Whose = TypeVar("Whose")  # a service, or the two ends of a call
Piece = tuple[Floats, Floats]  # times_s, values; NaN is no value
Pieces = dict[str, list[Piece]]  # by metric


def natural_step(metrics: Iterable[Sequence[Piece]]) -> float:
    """The time between two values in most series."""
    gaps = [_gap(pieces) for pieces in islice(metrics, _SAMPLE)]
    known = [gap for gap in gaps if gap > 0]
    return float(np.median(known)) if known else 60.0


def _gap(pieces: Sequence[Piece]) -> float:
    gaps = np.diff(np.unique(np.concatenate([times[np.isfinite(values)] for times, values in pieces])))
    return float(np.median(gaps)) if gaps.size else 0.0


def aligned(
    of: Mapping[Whose, Pieces], start: float, step: float, n0: int, n: int
) -> Iterator[tuple[Whose, str, Series]]:
    """Every metric with points on the grid: `n0` before `start`, `n` from there."""
    series = ((key, metric, pieces) for key, metrics in of.items() for metric, pieces in metrics.items())
    while batch := list(islice(series, _BATCH)):
        mean = _on_grid([pieces for _, _, pieces in batch], start - n0 * step, step, n0 + n)
        counts = np.isfinite(mean).sum(axis=1).tolist()
        for (key, metric, pieces), points, seen in zip(batch, mean, counts, strict=True):
            if not seen:
                continue
            if seen * 1.5 < n0 + n and (lag := round(_gap(pieces) / step)) > 1:
                _hold(points[:n0], lag)
                _hold(points[n0:], lag)
            yield key, metric, Series(points[n0:], points[:n0])


def _on_grid(several: Sequence[Sequence[Piece]], start: float, step: float, n: int) -> Floats:
    """The mean of the values at each point; NaN without any: (N, n)."""
    times = several[0][0][0]
    if all(len(pieces) == 1 and pieces[0][0] is times for pieces in several):
        column = _column(times, start, step)
        inside = (column >= 0) & (column < n)
        if (np.diff(column[inside]) > 0).all():  # already on the grid
            points = np.full((len(several), n), np.nan)
            points[:, column[inside]] = np.array([pieces[0][1] for pieces in several])[:, inside]
            return points
    row = np.repeat(np.arange(len(several)), [sum(len(one) for one, _ in pieces) for pieces in several])
    times = np.concatenate([times for pieces in several for times, _ in pieces])
    values = np.concatenate([values for pieces in several for _, values in pieces])
    column = _column(times, start, step)
    inside = (column >= 0) & (column < n) & np.isfinite(values)
    cell = row[inside] * n + column[inside]
    count = np.bincount(cell, minlength=len(several) * n).reshape(len(several), n)
    with np.errstate(invalid="ignore"):
        return np.bincount(cell, values[inside], minlength=count.size).reshape(count.shape) / count


def _column(times: Floats, start: float, step: float) -> Ints:
    return np.floor((times - start) / step + 1e-6).astype(np.int64)


def _hold(points: Floats, lag: int) -> None:
    """A value of a coarser series holds until its next one is due."""
    for _ in range(min(lag, len(points)) - 1):
        empty = np.flatnonzero(np.isnan(points[1:]) & ~np.isnan(points[:-1])) + 1
        points[empty] = points[empty - 1]
