"""Finds when an incident began: the point at which the symptoms of most services get worse."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from data.arrays import Floats
from data.channels import Channel, ChannelMap
from data.sources.alignment import Pieces, aligned

_FEWEST_BEFORE, _FEWEST_AFTER = 4, 2  # points
_LARGEST = 8.0  # larger deviations count as this: one spike is no incident
_NOISE = 6.0  # rarely exceeded by the statistic of an unchanged series
# A rise must exceed this many spreads of the points around it; more if there are few points.
_SPREADS, _FEW_SPREADS, _LEAST_SPREAD = 2.0, 4.0, 0.5
_RELATIVE = 0.05  # smaller relative changes do not count


# The smallest change of each symptom that counts, in our units.
_SYMPTOMS: Mapping[Channel, float] = {
    Channel.ERROR: 0.005,
    Channel.LATENCY_MID: 1e-4,
    Channel.LATENCY_TAIL: 1e-4,
    Channel.OWN_LATENCY: 1e-4,
}
_SAID: Mapping[Channel, float] = {Channel.LOGS: 0.1}


def change_in(
    told: Sequence[Mapping[Any, Pieces]], first: float, step: float, n: int, channels: ChannelMap
) -> float | None:
    """When the symptoms of most services get worse; None if they do not.

    Args:
        told: the metrics of services and of calls; calls count only if services have no symptoms, and log
            lines only if nothing else tells.
        first: the time of the first of `n` points, `step` seconds apart.
    """
    for symptoms, of in product((_SYMPTOMS, _SAID), told):
        rows: list[Floats] = []
        smallest: list[float] = []
        wanted = {
            whose: {m: p for m, p in metrics.items() if (c := channels(m)) and c.channel in symptoms}
            for whose, metrics in of.items()
        }
        for _, metric, series in aligned(wanted, first, step, 0, n):
            meaning = channels(metric)
            assert meaning is not None
            points = series.incident
            sign, scale = (
                (-1.0 if meaning.inverted else 1.0),
                meaning.scale_of(np.nanmax(points, initial=0.0)),
            )
            rows.append(sign * scale * points)
            smallest.append(symptoms[meaning.channel])
        if rows:
            found = onset(np.array(rows), np.array(smallest))
            return None if found is None else first + found * step
    return None


def onset(symptoms: Floats, smallest: Floats) -> int | None:
    """The index of the first point of the incident; None if nothing changes.

    Series that do not change add nothing, however many they are (thresholded CUSUM; Cho and Fryzlewicz 2015).

    Args:
        symptoms: (M, N), higher is worse, NaN where missing.
        smallest: (M,) the smallest difference of each that counts.
    """
    known = np.isfinite(symptoms).sum(axis=1) > _FEWEST_BEFORE
    points = symptoms.shape[1]
    if not known.any() or points < _FEWEST_BEFORE + _FEWEST_AFTER:
        return None
    x = _filled(symptoms[known])
    usual = np.median(x, axis=1, keepdims=True)
    steps = np.abs(
        np.diff(x, axis=1)
    )  # of white noise: sigma by their median; by their mean where most are 0
    noise = np.maximum(1.05 * np.median(steps, axis=1), 0.89 * steps.mean(axis=1))[:, None]
    scale = np.maximum(np.maximum(noise, _RELATIVE * np.abs(usual)), smallest[known, None])
    z = np.clip((x - usual) / scale, -_LARGEST, _LARGEST)
    before = np.arange(1, points)  # points before each cut
    summed = np.cumsum(z, axis=1)
    rise = (summed[:, -1:] - summed[:, :-1]) / (points - before) - summed[:, :-1] / before
    statistic = rise * np.sqrt(before * (points - before) / points)  # (M, N - 1)
    spread = (z**2).sum(axis=1, keepdims=True) - summed[:, :-1] ** 2 / before  # around the mean on each side
    spread -= (summed[:, -1:] - summed[:, :-1]) ** 2 / (points - before)
    spread = np.sqrt(np.maximum(spread / points, _LEAST_SPREAD**2))
    # What wanders or is spiky by itself does not stand out.
    few = np.sqrt(np.minimum(before, points - before))
    stands_out = rise > (_SPREADS + _FEW_SPREADS / few) * spread
    together = np.where(stands_out, np.maximum(statistic - _NOISE, 0.0), 0.0).sum(axis=0)
    together[: _FEWEST_BEFORE - 1] = 0.0
    together[points - _FEWEST_AFTER :] = 0.0
    return int(together.argmax()) + 1 if together.any() else None


def _filled(x: Floats) -> Floats:
    """Missing points as the last known one, leading ones as the first."""
    there = np.isfinite(x)
    index = np.where(there, np.arange(x.shape[1]), -1)
    index = np.maximum.accumulate(index, axis=1)
    index = np.where(index < 0, there.argmax(axis=1)[:, None], index)
    return np.take_along_axis(x, index, axis=1)
