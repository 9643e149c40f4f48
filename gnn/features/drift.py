"""What has moved since the baseline was taken, but stays so while users feel nothing, is drift, no symptom.

Shapes: M metrics, S services, T incident points.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from data.channels import Channel
from data.incident import Page
from gnn.features.deviation import floor_of, usual_of
from gnn.features.nan_statistics import kth_highest, nanmedian
from gnn.features.stack import CHANNEL_INDEX, Stack

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LOUD = float(np.arcsinh(3.0))  # robust sigmas, as asinh: less may be noise
_QUIET = 0.5  # of the loudest, both as asinh: a point is quiet below this and `_LOUD`
_ENOUGH = 2  # quiet points that say where a metric is now
_LONG = 10  # points of an incident from which one loud point may be chance

LATENCY = (Channel.LATENCY_MID, Channel.LATENCY_TAIL)
# What its callers feel, or do; what happens inside a service may be the cause although it stays the same.
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
    """The channels of the kind of metric that paged; errors and latency when that is not known."""
    return _kind(page) or (Channel.ERROR, *LATENCY)


def _kind(page: Page | None) -> tuple[Channel, ...]:
    metric = (page.metric or "").lower() if page else ""
    if any(word in metric for word in ("avail", "err", "success", "5xx")):
        return (Channel.ERROR,)
    return LATENCY if any(word in metric for word in ("lat", "dur", "time")) else ()


def page_course(block: Stack, page: int, channels: Sequence[Channel]) -> Floats:
    """How the paging service deviates over time, on its worst metric of `channels` at each point.

    Args:
        block: the telemetry.
        page: row of the paging service.
        channels: those that may have paged.

    Returns:
        (T,) asinh of the robust z, at least 0; NaN where the point is missing, or the service lacks such a
        metric; zeros where every service does.
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
        row = replace(
            metrics,
            incident=metrics.incident[:, own],
            baseline=metrics.baseline[:, own],
            floor=floor_of(metrics)[:, 0],  # that depends on all services
        )
        return np.asarray(np.nanmax(np.maximum(usual_of(row).deviation_of(row.incident)[:, 0], 0.0), axis=0))


def quiet_points(course: Floats, page: Page | None) -> Mask:
    """At which points users feel little, of a page that comes and goes: (T,), none where it is always there.

    Which points these are is known only where it is known whether errors or latency paged.

    Args:
        course: (T,) how the paging service deviates over time, as `page_course` has it.
        page: what paged.
    """
    if not len(course) or not _kind(page):
        return np.zeros(len(course), bool)
    loudest = float(kth_highest(course[None, None], 2, least=_LONG)[0, 0])
    quiet = course < min(_QUIET * loudest, _LOUD)
    return np.asarray(quiet & (loudest >= _LOUD) & (quiet.sum() >= _ENOUGH))


def renewed(block: Stack, quiet: Mask) -> Stack:
    """Moves baselines to where each metric is at the quiet points; errors and latency only upwards.

    A baseline is often hours older than the incident: traffic has changed, a function has been slow for a
    while. A page that comes and goes tells such drift from symptoms; without quiet points nothing is moved. A
    culprit that is bad for most of the time before its users feel it is taken for drift, too.

    Args:
        block: the telemetry, with a baseline.
        quiet: (T,) the points at which users feel little.
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
