"""All metrics of an incident as one array, in common units, with higher values being worse.

Shapes: M metrics, S services, T incident points, T0 baseline points.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.arrays import Floats, Ints
from data.channels import Channel, ChannelMap
from data.incident import Incident, Series
from gnn.features.caller_telemetry import with_caller_metrics

CHANNELS: tuple[Channel, ...] = tuple(Channel)
CHANNEL_INDEX = {channel: index for index, channel in enumerate(CHANNELS)}

# Channels measured as a share of a whole: their level has a meaning by itself.
SHARES = frozenset({Channel.ERROR, Channel.CLIENT_ERROR, Channel.CPU, Channel.MEMORY})


@dataclass(frozen=True, eq=False)
class Stack:
    """All metrics that have a channel, padded to one array, sorted by channel."""

    incident: Floats  # (M, S, T), NaN where missing
    baseline: Floats  # (M, S, T0), NaN where missing; T0 may be 0
    channel: Ints  # (M,)
    floor: Floats  # (M,) smallest difference that matters; 0: the channel's default
    names: tuple[str, ...]  # (M,)
    scale: Floats  # (M,) the factor to the common unit


def stack(incident: Incident, channel_map: ChannelMap) -> Stack:
    """Stacks the telemetry of all services, including what their callers measure."""
    telemetry = with_caller_metrics(incident, channel_map)
    return stack_rows([telemetry.get(name, {}) for name in incident.services], channel_map)


def stack_rows(rows: Sequence[Mapping[str, Series]], channel_map: ChannelMap) -> Stack:
    """Like `stack`, for any rows of metrics (services or calls)."""
    by_metric: defaultdict[str, tuple[list[int], list[Series]]] = defaultdict(lambda: ([], []))
    for index, row in enumerate(rows):
        for name, series in row.items():
            places, found = by_metric[name]
            places.append(index)
            found.append(series)
    now_of = {name: [one.incident for one in found] for name, (_, found) in by_metric.items()}
    past_of = {name: [one.baseline for one in found] for name, (_, found) in by_metric.items()}
    length = max((max(map(len, group)) for group in now_of.values()), default=0)
    length0 = max((max(map(len, group)) for group in past_of.values()), default=0)
    known = [(meaning, name) for name in by_metric if (meaning := channel_map(name)) is not None]
    known.sort(key=lambda pair: (CHANNEL_INDEX[pair[0].channel], pair[1]))
    now = np.full((len(known), len(rows), length), np.nan)
    past = np.full((len(known), len(rows), length0), np.nan)
    scales = np.ones(len(known))
    for m, (meaning, name) in enumerate(known):
        places = by_metric[name][0]
        # Incidents are aligned at their start, baselines at their end.
        _align(now[m], places, now_of[name], from_start=True)
        _align(past[m], places, past_of[name], from_start=False)
        # The unit is inferred from all services together, so that an idle one is read like the others.
        scale = meaning.scale_of(max(_largest(now[m]), _largest(past[m])))
        scales[m] = scale
        if scale != 1.0:
            now[m] *= scale
            past[m] *= scale
        if meaning.channel is Channel.MEMORY and not meaning.inverted:
            now[m][now[m] == 0.0], past[m][past[m] == 0.0] = np.nan, np.nan  # a running process uses some
        if meaning.inverted:
            top = 1.0 if meaning.channel in SHARES else 0.0
            now[m], past[m] = top - now[m], top - past[m]
            if meaning.channel in SHARES and _always_failed(past[m], now[m]):
                now[m], past[m] = np.nan, np.nan
        if meaning.per:
            for s, series in zip(*by_metric[name], strict=True):
                if (whole := rows[s].get(meaning.per)) is not None:
                    now[m, s] = _share(series.incident, whole.incident)
                    past[m, s] = _share(series.baseline, whole.baseline)
    channel = np.array([CHANNEL_INDEX[meaning.channel] for meaning, _ in known], dtype=np.int64)
    floor = np.array([meaning.floor for meaning, _ in known])
    return Stack(now, past, channel, floor, tuple(name for _, name in known), scales)


def _largest(points: Floats) -> float:
    """The largest known point; -inf without any."""
    return float(np.fmax.reduce(points, axis=None, initial=-np.inf))


def _always_failed(past: Floats, now: Floats) -> bool:
    """Whether no service succeeded at any time, not even before the incident: then nothing is measured."""
    return bool(np.fmin.reduce(past, axis=None, initial=np.nan) >= 1.0) and not (now < 1.0).any()


def _share(count: Floats, whole: Floats) -> float:
    """The share of `whole` that `count` is, over all points; the 3 added to `whole` dampens rare events."""
    if not np.isfinite(count).any():
        return np.nan
    return float(np.nansum(count) / (np.nansum(whole) + 3.0))


def _align(block: Floats, places: Sequence[int], series: Sequence[Floats], from_start: bool) -> None:
    """Writes series into the rows `places` of `block` (S, T), in place, aligned at their start or end."""
    length = block.shape[1]
    if not length:
        return
    lengths = np.fromiter(map(len, series), dtype=np.int64, count=len(series))
    points = np.concatenate(series)
    if (lengths == length).all():
        block[places] = points.reshape(-1, length)
        return
    ends = np.cumsum(lengths)
    first = np.repeat(lengths - ends if from_start else length - ends, lengths)
    block[np.repeat(places, lengths), first + np.arange(len(points))] = points
