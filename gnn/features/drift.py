"""Corrects baselines for drift: metrics that have shifted since, even while users notice nothing.

Shapes: M metrics, S services, T incident points.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.arrays import Bools, Floats
from data.channels import Channel
from data.incident import Page
from gnn.features.deviation import floor_of, is_share_of, usual_of
from gnn.features.nan_statistics import kth_highest, nanmedian
from gnn.features.stack import CHANNEL_INDEX, Stack

_LOUD = float(np.arcsinh(3.0))  # robust z, as asinh: less may be noise
_QUIET = 0.5  # share of the largest deviation (asinh); a quiet point is below this and below `_LOUD`
_ENOUGH = 2  # quiet points needed
_LONG = 10  # from this many points on, a single loud point may be chance

LATENCY = (Channel.LATENCY_MID, Channel.LATENCY_TAIL)
# What callers notice or cause. A service's inside may be the cause even if it doesn't change over time.
DRIFTING = frozenset(
    {
        Channel.ERROR,
        *LATENCY,
        Channel.OWN_LATENCY,
        Channel.CLIENT_ERROR,
        Channel.CLIENT_LATENCY,
        Channel.TRAFFIC,
    }
)


def paged_channels(page: Page | None) -> tuple[Channel, ...]:
    """The channels of the metric that paged; errors and latency if unknown."""
    return _kind(page) or (Channel.ERROR, *LATENCY)


def _kind(page: Page | None) -> tuple[Channel, ...]:
    metric = (page.metric or "").lower() if page else ""
    if any(word in metric for word in ("avail", "err", "success", "5xx")):
        return (Channel.ERROR,)
    return LATENCY if any(word in metric for word in ("lat", "dur", "time")) else ()


def page_deviation(block: Stack, page: int, channels: Sequence[Channel]) -> Floats:
    """How far the paging service deviates over time, on its worst metric of `channels` at each point.

    Args:
        block: the telemetry.
        page: row of the paging service.
        channels: that may have paged.

    Returns:
        (T,) asinh of the robust z, at least 0; NaN where the point or the metric is missing; zeros if no
        service has such a metric.
    """
    chosen = np.isin(block.channel, [CHANNEL_INDEX[channel] for channel in channels])
    metrics = replace(
        block,
        incident=block.incident[chosen],
        baseline=block.baseline[chosen],
        channel=block.channel[chosen],
        floor=block.floor[chosen],
        names=(),
        scale=block.scale[chosen],
    )
    if not metrics.incident.size or not metrics.baseline.size:
        return np.zeros(block.incident.shape[2])
    own = slice(page, page + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN slices are metrics that are not measured
        floor = floor_of(metrics, is_share_of(metrics))  # computed from all services
        row = replace(metrics, incident=metrics.incident[:, own], baseline=metrics.baseline[:, own])
        deviation = usual_of(row, floor).deviation_of(row.incident)[:, 0]
        return np.asarray(np.nanmax(np.maximum(deviation, 0.0), axis=0))


def quiet_points(deviation: Floats, page: Page | None) -> Bools:
    """The points between spells of an intermittent page, when users notice little: (T,).

    None of them unless it is known whether errors or latency paged.

    Args:
        deviation: (T,) from `page_deviation`.
        page: what paged.
    """
    if not len(deviation) or not _kind(page):
        return np.zeros(len(deviation), bool)
    loudest = float(kth_highest(deviation[None, None], 2, least=_LONG)[0, 0])
    quiet = deviation < min(_QUIET * loudest, _LOUD)
    return np.asarray(quiet & (loudest >= _LOUD) & (quiet.sum() >= _ENOUGH))


def shift_baselines(block: Stack, quiet: Bools) -> Stack:
    """Shifts each baseline to the metric's level at the quiet points; errors and latency only upwards.

    A baseline is often hours older than the incident: traffic has changed, a function has become slow. An
    intermittent page separates such drift from symptoms; without quiet points nothing is shifted. Limit: a
    root cause that is bad most of the time before users notice looks like drift, too.

    Args:
        block: the telemetry, with a baseline.
        quiet: (T,) the points when users notice little.
    """
    if not quiet.any():
        return block
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        now = nanmedian(block.incident[:, :, quiet], axis=2)
        moved = np.nan_to_num(now - nanmedian(block.baseline, axis=2))  # (M, S)
    either_way = (block.channel == CHANNEL_INDEX[Channel.TRAFFIC])[:, None]
    moved = np.where(either_way, moved, np.maximum(moved, 0.0))
    moved[~np.isin(block.channel, [CHANNEL_INDEX[channel] for channel in DRIFTING])] = 0.0
    return replace(block, baseline=block.baseline + moved[..., None])
