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
from gnn.deviation import CHANNEL_INDEX, Stack, usual_of
from gnn.robust import nanmedian

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Robust sigmas, as asinh, that the page must reach at its worst: less may be noise.
_LOUD = float(np.arcsinh(3.0))
_QUIET = 0.5  # a point is quiet where the page deviates less than this share of its worst

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
    metric = (page.metric or "").lower() if page else ""
    if any(word in metric for word in ("avail", "err", "success", "5xx")):
        return (Channel.ERROR,)
    if any(word in metric for word in ("lat", "dur", "time")):
        return LATENCY
    return (Channel.ERROR, *LATENCY)


def page_course(block: Stack, page: int, channels: Sequence[Channel]) -> Floats:
    """How the paging service deviates over time, on its metric that stands out most over its own median.

    Args:
        block: the telemetry, with a baseline.
        page: row of the paging service.
        channels: those that may have paged.

    Returns:
        (T,) asinh of the robust z, at least 0; NaN where the point is missing, zeros where no such metric is.
    """
    chosen = np.isin(block.channel, [CHANNEL_INDEX[channel] for channel in channels])
    paged = Stack(block.incident[chosen], block.baseline[chosen], block.channel[chosen], block.floor[chosen])
    if not paged.incident.size:
        return np.zeros(block.incident.shape[2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN slices are metrics that are not measured
        deviation = usual_of(paged).deviation_of(paged.incident)[:, page]  # (M', T)
        felt = np.maximum(deviation, 0.0)
        stands_out = np.nan_to_num(np.nanmax(felt, axis=1) - np.nanmedian(felt, axis=1))
    return np.asarray(felt[int(np.argmax(stands_out))])


def quiet_points(course: Floats) -> Mask:
    """At which points users feel little, of a page that comes and goes: (T,), none where it is always there.

    Args:
        course: (T,) how the paging service deviates over time, as `page_course` has it.
    """
    loudest = np.nanmax(course, initial=0.0)
    return np.asarray((course < _QUIET * loudest) & (loudest >= _LOUD))


def renewed(block: Stack, quiet: Mask) -> Stack:
    """Moves baselines to where each metric is at the quiet points; errors and latency only upwards.

    A baseline is often hours older than the incident: traffic has changed, a function has been slow for a
    while. A page that comes and goes tells such drift from symptoms; without quiet points nothing is moved.

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
