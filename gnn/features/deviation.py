"""How far each metric deviates from its own baseline or, without one, from its peers.

Shapes: M metrics, S services, T incident points, T0 baseline points, C channels, K statistics.
"""

import warnings
from typing import NamedTuple

import numpy as np

from data.arrays import Bools, Floats
from data.channels import Channel, ChannelMap
from data.incident import Incident
from gnn.features.nan_statistics import (
    MAD_TO_SIGMA,
    among_peers,
    beyond_peers,
    carry_forward,
    kth_highest,
    longest_gap,
    nanmedian,
    or_zero,
)
from gnn.features.stack import CHANNELS, SHARES, Stack, stack_rows

# Channels measured in seconds since an event: small values matter.
AGES = frozenset({Channel.DEPLOY_AGE, Channel.CONFIG_AGE, Channel.UPTIME})
_AGE_HALF_S = 900.0  # an event this old counts half as much as one just now

# Counts of what should never happen: zero in a healthy system, so that even one matters.
_FAULTS = frozenset(
    {
        Channel.ERROR,
        Channel.CLIENT_ERROR,
        Channel.NETWORK_FAULT,
        Channel.RESTARTS,
        Channel.LOGS,
        Channel.LOG_SHIFT,
    }
)
_IS_FAULTS = np.array([channel in _FAULTS for channel in CHANNELS])  # (C,)
_IS_CHANGE = np.array([channel in (Channel.DEPLOY_AGE, Channel.CONFIG_AGE) for channel in CHANNELS])
_IS_SHARE = np.array([channel in SHARES for channel in CHANNELS])  # (C,)
_IS_FILL = np.array([channel in (Channel.CPU, Channel.MEMORY) for channel in CHANNELS])  # (C,)
_IS_AGE = np.array([channel in AGES for channel in CHANNELS])  # (C,)

STATISTICS = (
    "has",  # 1 where the channel is measured
    "up",  # largest deviation in the bad direction, asinh of robust z
    "down",  # largest deviation in the good direction
    "mean",  # mean deviation over the incident
    "last",  # deviation of the last point
    "onset",  # 1 if it deviates from the first point on, 0 if never
    "ratio",  # log of incident mean over baseline median, of absolute values
    "peer",  # robust z among the services: of the deviation with a baseline, else of the level
    "growth",  # asinh of the relative change over the incident
    "level",  # the value of a share; the recency of an event
    "gone",  # share of points missing compared with the baseline
    "beyond",  # how far it exceeds its baseline, outliers aside; without one, how far a share exceeds peers
    "timing",  # how much more it deviates while the paging service (or the whole system) deviates
    "twin",  # alerts only: how much more the service has than its replicas
)
K = len(STATISTICS)
_UP, _DOWN, _MEAN, _LAST, _ONSET, _RATIO, _PEER, _GROWTH, _LEVEL, _GONE, _BEYOND, *_ = range(1, K)
# A channel with several metrics takes their maximum in these statistics, their mean in the others.
_LOUDEST = [_UP, _DOWN, _ONSET, _LEVEL, _BEYOND]

# How much wider than their spread 2 to 6 points really scatter: the 97.5 % quantile of Student's t over the
# normal one. From 7 points on the difference is small.
_FEW_POINTS = np.array([1.0, 1.0, 6.48, 2.2, 1.62, 1.42, 1.31, 1.0])

ABNORMAL = float(np.arcsinh(5.0))  # robust z, as asinh, from which a metric is abnormal


class Deviations(NamedTuple):
    """The deviations of one `Stack`; zero where nothing is measured."""

    statistics: Floats  # (S, C, K); "timing" is filled in by `featurize`
    over_time: Floats  # (S, C, T) largest asinh z of the channel's metrics; zero without a baseline
    each: Floats  # (M, S, K) statistics per metric, where measured
    usual: "Usual | None" = None  # None without a baseline
    z: Floats | None = None  # (M, S, T) asinh of each metric's robust z


def deviations(block: Stack) -> Deviations:
    """Compares every metric with its baseline or its peers, and merges the metrics of each channel."""
    metrics, services, ticks = block.incident.shape
    out = np.zeros((services, len(CHANNELS), K))
    over_time = np.zeros((services, len(CHANNELS), ticks))
    if not metrics or not services or not ticks:
        return Deviations(out, over_time, np.zeros((metrics, services, K)))
    starts = np.flatnonzero(np.diff(block.channel, prepend=-1))
    channels = block.channel[starts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN slices get `has` = 0
        share = is_share_of(block)  # (M,)
        floor = floor_of(block, share)
        usual = usual_of(block, floor) if block.baseline.shape[2] else None
        z = None if usual is None else usual.deviation_of(block.incident)  # (M, S, T)
        each = _metric_statistics(block, share, floor, usual, z)  # (M, S, K)
        if usual is not None and z is not None:
            each[..., _BEYOND] = _beyond(block, usual)
            # For deploys and configuration changes only the recency counts.
            change = np.flatnonzero(_IS_CHANGE[block.channel])
            z[change] = 0.0
            each[change, :, _UP:_LEVEL] = 0.0
            each[change, :, _LEVEL + 1 :] = 0.0
    if z is not None:
        known = np.isfinite(z)
        loudest = np.maximum.reduceat(np.where(known, z, -np.inf), starts, axis=0)  # (C', S, T)
        over_time[:, channels] = np.where(np.isfinite(loudest), loudest, 0.0).transpose(1, 0, 2)
    measured = each[..., :1] > 0
    merged = np.where(measured, each, 0.0)
    if len(starts) < metrics:
        count = np.add.reduceat(measured, starts, axis=0)  # (C', S, 1)
        merged = np.add.reduceat(merged, starts, axis=0) / np.maximum(count, 1)
        loudest_of = np.where(measured, each[..., _LOUDEST], -np.inf)
        loudest = np.maximum.reduceat(loudest_of, starts, axis=0)
        merged[..., _LOUDEST] = np.where(count > 0, loudest, 0.0)
        merged[..., 0] = count[..., 0] > 0
    out[:, channels] = merged.transpose(1, 0, 2)
    return Deviations(out, over_time, each, usual, z)


class MeasuredCalls(NamedTuple):
    """All calls with telemetry, compared with their own baselines; rows as in `pairs`."""

    pairs: tuple[tuple[str, str], ...]  # caller, callee
    block: Stack
    deviations: Deviations


def measured_calls(incident: Incident, channel_map: ChannelMap) -> MeasuredCalls:
    """The calls of an incident that have telemetry."""
    block = stack_rows(list(incident.call_telemetry.values()), channel_map)
    return MeasuredCalls(tuple(incident.call_telemetry), block, deviations(block))


class Usual(NamedTuple):
    """The baseline statistics of each metric of each service."""

    center: Floats  # (M, S, 1)
    spread: Floats  # (M, S, 1)
    lent: Floats  # (M, S, 1) spread taken from peers where the baseline is constant, else 0

    def deviation_of(self, points: Floats) -> Floats:
        """asinh of the robust z of every point: (M, S, T)."""
        return np.asarray(np.arcsinh((points - self.center) / self.spread))


def usual_of(block: Stack, floor: Floats) -> Usual:
    """Center and spread of each metric's baseline; a constant baseline takes its spread from its peers.

    Args:
        block: of any metrics.
        floor: (M, 1), see `floor_of`.
    """
    past = block.baseline
    center = nanmedian(past, axis=2, keepdims=True)  # (M, S, 1)
    spread = MAD_TO_SIGMA * nanmedian(np.abs(past - center), axis=2, keepdims=True)
    spread = or_zero(np.fmax(spread, 0.25 * np.nanstd(past, axis=2, keepdims=True)))
    points = np.isfinite(past).sum(axis=2, keepdims=True)
    spread *= _FEW_POINTS[np.minimum(points, len(_FEW_POINTS) - 1)]
    least = 0.05 * np.abs(or_zero(center)) + floor[..., None]
    lent = np.zeros_like(spread)
    constant = (spread <= 0.0) & np.isfinite(center) & ~_IS_FAULTS[block.channel][:, None, None]
    if past.shape[2] > 1 and constant.any():
        moving = np.where(constant, np.nan, np.where(np.isfinite(center), spread, np.nan))
        lent = np.where(constant, or_zero(nanmedian(moving, axis=1, keepdims=True)), 0.0)
    return Usual(center, np.maximum(np.maximum(spread, lent), least), lent)


def _beyond(block: Stack, usual: Usual) -> Floats:
    """How far the incident is above the baseline, outliers aside: (M, S)."""
    above = kth_highest(block.incident, 2, least=3) - kth_highest(block.baseline, 3, least=10)
    above[~np.isfinite(above)] = 0.0
    return np.asarray(np.arcsinh(np.maximum(above / usual.spread[..., 0], 0.0)))


def floor_of(block: Stack, is_share: Bools) -> Floats:
    """The smallest difference that matters, per metric: (M, 1); `is_share`: (M,)."""
    flat = np.abs(block.incident).reshape(len(block.channel), -1)
    typical = or_zero(nanmedian(flat, axis=1))
    usual = np.where(is_share, 0.005, 0.02 * typical + 1e-9)
    return np.where(block.floor > 0, block.floor, usual)[:, None]


def is_share_of(block: Stack) -> Bools:
    """Which metrics are shares of a whole (memory in bytes, for example, is not): (M,)."""
    largest = np.fmax.reduce(np.abs(block.incident), axis=(1, 2))  # inverted bytes are far below zero
    return np.asarray(_IS_SHARE[block.channel] & ~(largest > 2.0))


def _metric_statistics(
    block: Stack, share: Bools, floor: Floats, usual: Usual | None, z: Floats | None
) -> Floats:
    """Statistics of each metric by itself, (M, S, K); undefined where `has` is 0.

    Args:
        block: of all metrics.
        share: (M,) whether it is a share of a whole.
        floor: (M, 1) the smallest difference that matters.
        usual: None without a baseline.
        z: (M, S, T) asinh of the robust z; None without a baseline.
    """
    now, past = block.incident, block.baseline
    # A constant baseline gives no scale for relative changes either.
    size = floor if usual is None else np.maximum(floor, usual.lent[..., 0])
    is_share = share[:, None]
    out = np.zeros((*now.shape[:2], K))
    there = np.isfinite(now)
    n_now = there.sum(axis=2)
    n_past = np.isfinite(past).sum(axis=2)
    out[..., 0] = (n_now > 0) | (n_past > 0)

    filled = carry_forward(now, there)
    first, last = filled[..., 0], filled[..., -1]
    out[..., _GROWTH] = np.arcsinh(or_zero((last - first) / (np.abs(first) + 5 * size)))
    recency = 1.0 / (1.0 + np.maximum(last, 0.0) / _AGE_HALF_S)
    is_age = _IS_AGE[block.channel][:, None]
    filling = np.minimum(np.maximum(last, 0.0), 2.0)
    out[..., _LEVEL] = or_zero(np.where(is_age, recency, np.where(is_share, filling, 0.0)))
    if usual is None or z is None:
        # Utilisation is compared by differences, rates by ratios.
        steps = is_share & _IS_FILL[block.channel][:, None]
        ratios = np.log1p(np.abs(last) / (5 * floor)) * np.sign(last)
        out[..., _PEER] = among_peers(np.where(steps, 10.0 * last, ratios))
        out[..., _BEYOND] = np.where(is_share & (n_now > 0), beyond_peers(last), 0.0)
        # Bytes and millicores cannot be compared between services, so without a baseline they say nothing.
        out[_IS_SHARE[block.channel] & ~share] = 0.0
        return out

    comparable = (n_now > 0) & (n_past > 0)
    out[..., _UP] = np.where(comparable, np.maximum(np.nanmax(z, axis=2), 0.0), 0.0)
    out[..., _DOWN] = np.where(comparable, np.maximum(-np.nanmin(z, axis=2), 0.0), 0.0)
    out[..., _MEAN] = np.where(comparable, np.nanmean(z, axis=2), 0.0)
    out[..., _LAST] = np.where(comparable, or_zero(carry_forward(z, there)[..., -1]), 0.0)
    exceeds = np.abs(or_zero(z)) > ABNORMAL
    first_exceeding = np.where(exceeds.any(axis=2), 1.0 - exceeds.argmax(axis=2) / z.shape[2], 0.0)
    out[..., _ONSET] = np.where(comparable, first_exceeding, 0.0)
    level = np.where(n_now > 0, np.where(there, now, 0.0).sum(axis=2) / np.maximum(n_now, 1), np.nan)
    ratio = np.log((np.abs(level) + size) / (np.abs(usual.center[..., 0]) + size))
    out[..., _RATIO] = np.where(comparable, np.clip(or_zero(ratio), -6, 6), 0.0)
    out[..., _PEER] = among_peers(np.where(comparable, out[..., _MEAN], np.nan))
    missing = np.maximum(n_past / past.shape[2] - n_now / now.shape[2], 0.0)
    # A metric with gaps as long in its baseline is not missing.
    missing *= 1.0 - np.minimum(longest_gap(past) / now.shape[2], 1.0)
    out[..., _GONE] = np.where(n_past > 0, missing, 0.0)
    return out
