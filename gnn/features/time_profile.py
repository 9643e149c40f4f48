"""How each channel of each service ran over the incident, at one length for every system.

Shapes: M metrics, S services, T incident points, C channels, R rows of a course, P points of a course.
"""

import warnings

import numpy as np
import numpy.typing as npt

from data.channels import Channel
from gnn.features.deviation import floor_of
from gnn.features.nan_statistics import carry_forward
from gnn.features.stack import CHANNEL_INDEX, CHANNELS, Stack

Floats = npt.NDArray[np.float64]

POINTS = 8  # P
# Left out: seconds since an event and plain amounts of bytes, which say nothing over so few points.
_FOLLOWED = (
    Channel.ERROR, Channel.LATENCY_MID, Channel.LATENCY_TAIL, Channel.OWN_LATENCY, Channel.CLIENT_ERROR,
    Channel.CLIENT_LATENCY, Channel.TRAFFIC, Channel.CPU, Channel.MEMORY, Channel.SATURATION,
    Channel.NETWORK_FAULT, Channel.RESTARTS, Channel.LOGS, Channel.LOG_SHIFT,
)  # fmt: skip
COURSE_CHANNELS: tuple[int, ...] = tuple(CHANNEL_INDEX[channel] for channel in _FOLLOWED)
# After the channels: how much each point counts, of mean 1, by what the page, or the whole system, shows at
# it; and where there are points at all – against the own past, or without one against the first point.
COURSE_ROWS: tuple[str, ...] = (*_FOLLOWED, "rhythm", "against_past", "against_first")
RHYTHM = len(_FOLLOWED)
THERE = (RHYTHM + 1, RHYTHM + 2)


def course_of(block: Stack, over_time: Floats, rhythm: Floats | None) -> npt.NDArray[np.float32]:
    """The course of every service, (S, R, P): zero where nothing is measured and after the last point.

    Args:
        block: what is measured.
        over_time: (S, C, T) asinh of robust z against the own past; not read without a `rhythm`.
        rhythm: (T,) how much each point counts, of sum 1 (`featurize`); None where nothing has a past.
    """
    services, ticks = block.incident.shape[1:]
    out = np.zeros((services, len(COURSE_ROWS), POINTS), dtype=np.float32)
    if not block.incident.size:
        return out
    known = min(ticks, POINTS)
    channels = over_time if rhythm is not None else _since_first(block)
    out[:, :RHYTHM, :known] = shortened(channels[:, COURSE_CHANNELS])
    if rhythm is not None:
        out[:, RHYTHM, :known] = shortened(rhythm * ticks)
    out[:, THERE[rhythm is None], :known] = 1.0
    return out


def shortened(points: Floats) -> Floats:
    """(…, T) → (…, at most P): as they are, from the start; where there are more, means of even stretches."""
    ticks = points.shape[-1]
    if ticks <= POINTS:
        return points
    starts = np.arange(POINTS) * ticks // POINTS
    return np.asarray(np.add.reduceat(points, starts, axis=-1) / np.diff(starts, append=ticks))


def _since_first(block: Stack) -> Floats:
    """asinh of the relative change since the first point, the largest of a channel's metrics: (S, C, T)."""
    services, ticks = block.incident.shape[1:]
    out = np.zeros((services, len(CHANNELS), ticks))
    if ticks < 2:
        return out
    filled = carry_forward(block.incident, np.isfinite(block.incident))  # (M, S, T)
    first = filled[..., :1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a metric without any point has no floor
        floor = floor_of(block)[..., None]  # (M, 1, 1)
    change = np.arcsinh((filled - first) / (np.abs(first) + 5 * floor))
    starts = np.flatnonzero(np.diff(block.channel, prepend=-1))
    loudest = np.maximum.reduceat(np.where(np.isfinite(change), change, -np.inf), starts, axis=0)
    out[:, block.channel[starts]] = np.where(np.isfinite(loudest), loudest, 0.0).transpose(1, 0, 2)
    return out
