"""Values at their own times → series on one grid of points, the healthy past and the incident apart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

from data.incident import Floats, Series

_SAMPLE = 400  # series that the step is read from
_BATCH = 4096  # series aligned at once

Whose = TypeVar("Whose")  # a service, or the two ends of a call
Piece = tuple[Floats, Floats]  # times_s, values
Pieces = dict[str, list[Piece]]  # by metric


def natural_step(metrics: Iterable[Sequence[Piece]]) -> float:
    """The time between two values in most series."""
    gaps = [_gap(pieces) for pieces in islice(metrics, _SAMPLE)]
    known = [gap for gap in gaps if gap > 0]
    return float(np.median(known)) if known else 60.0


def _gap(pieces: Sequence[Piece]) -> float:
    gaps = np.diff(np.unique(np.concatenate([times for times, _ in pieces])))
    return float(np.median(gaps)) if gaps.size else 0.0


def aligned(
    of: Mapping[Whose, Pieces], start: float, step: float, n0: int, n: int
) -> Iterator[tuple[Whose, str, Series]]:
    """Every metric with points on the grid: `n0` before `start`, `n` from there."""
    series = ((key, metric, pieces) for key, metrics in of.items() for metric, pieces in metrics.items())
    while batch := list(islice(series, _BATCH)):
        lengths = [sum(len(times) for times, _ in pieces) for _, _, pieces in batch]
        row = np.repeat(np.arange(len(batch)), lengths)
        times = np.concatenate([times for _, _, pieces in batch for times, _ in pieces])
        values = np.concatenate([values for _, _, pieces in batch for _, values in pieces])
        column = np.floor((times - start) / step + 1e-6).astype(np.int64) + n0
        inside = (column >= 0) & (column < n0 + n)
        cell = row[inside] * (n0 + n) + column[inside]
        size = len(batch) * (n0 + n)
        count = np.bincount(cell, minlength=size).reshape(len(batch), n0 + n)
        with np.errstate(invalid="ignore"):
            mean = np.bincount(cell, values[inside], minlength=size).reshape(count.shape) / count
        for (key, metric, pieces), points, seen in zip(batch, mean, (count > 0).sum(axis=1), strict=True):
            if not seen:
                continue
            if seen * 1.5 < n0 + n and (lag := round(_gap(pieces) / step)) > 1:
                _hold(points[:n0], lag)
                _hold(points[n0:], lag)
            yield key, metric, Series(points[n0:], points[:n0])


def _hold(points: Floats, lag: int) -> None:
    """A value of a coarser series holds until its next one is due."""
    for _ in range(min(lag, len(points)) - 1):
        empty = np.flatnonzero(np.isnan(points[1:]) & ~np.isnan(points[:-1])) + 1
        points[empty] = points[empty - 1]
