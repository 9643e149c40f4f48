"""Turns an incident into arrays: a row per service and per call, with the same columns for every system.

Shapes: S services, E calls, F service features, A call features.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.arrays import Bools, Floats, Ints
from data.channels import Channel, ChannelMap, default_channel_map
from data.incident import Incident
from gnn.features.alerts import ALERT_COLUMNS, alert_columns
from gnn.features.deviation import STATISTICS, Deviations, K, MeasuredCalls, deviations, measured_calls
from gnn.features.drift import LATENCY, page_deviation, paged_channels, quiet_points, shift_baselines
from gnn.features.replicas import replicas
from gnn.features.stack import CHANNEL_INDEX, CHANNELS, Stack, stack
from gnn.features.topology import Calls, calls_of, echoes, structure

# Raised when a column changes its meaning; checkpoints of other versions are refused.
FEATURE_VERSION = 5

# The first columns are channels × statistics.
CHANNEL_BLOCK = (len(CHANNELS), len(STATISTICS))

# What there is to go by: metrics with baselines, metrics without, or alerts alone.
MODES = ("baselined", "snapshot", "alerts")
_BASELINED, _SNAPSHOT, _ALERTS = range(len(MODES))

_HAS, _UP, _DOWN, _PEER, _TIMING, _TWIN = (
    STATISTICS.index(name) for name in ("has", "up", "down", "peer", "timing", "twin")
)
# What callers feel of a service, and what a root cause may show besides.
_FELT = ("error", "latency_mid", "latency_tail", "own_latency", "network_fault", "saturation")
_SHOWN = (*_FELT, "cpu", "memory", "restarts", "logs", "log_shift")
_FELT_INDEX = [CHANNEL_INDEX[Channel(name)] for name in _FELT]
_INSIDE = [
    CHANNEL_INDEX[channel]
    for channel in (
        Channel.CPU,
        Channel.MEMORY,
        Channel.SATURATION,
        Channel.RESTARTS,
        Channel.LOGS,
        Channel.UPTIME,
    )
]
_SAME = 0.9  # cosine from which an address and a service are the same thing
_ECHOING = [CHANNEL_INDEX[channel] for channel in (Channel.ERROR, *LATENCY)]
_SHOWN_INDEX = [CHANNEL_INDEX[Channel(name)] for name in _SHOWN]
_SUMMARY_COLUMNS = (
    "anomaly", "anomaly_rank", "anomaly_lead", "worst", "worst_rank", "worst_lead",
    "aligned", "aligned_rank", "aligned_lead", "contrast", "silent",
)  # fmt: skip
_GRAPH_COLUMNS = (
    "callers", "callees", "no_callers", "no_callees", "is_page", "near_page", "traversal", "traversal_lead",
    "pagerank", "pagerank_lead", "callee_anomaly", "caller_anomaly", "excess_over_callees",
    "echo", "echoed", "twin_alike", "twin_excess",
)  # fmt: skip
_CONTEXT_COLUMNS = ("log_services", "log_points", "has_page", "pages_latency", "pages_error")

SERVICE_FEATURES: tuple[str, ...] = (
    *(f"{channel}.{statistic}" for channel in CHANNELS for statistic in STATISTICS),
    *ALERT_COLUMNS,
    *_SUMMARY_COLUMNS,
    *_CONTEXT_COLUMNS,
    *_GRAPH_COLUMNS,
)
N_ALERTS, IS_PAGE = SERVICE_FEATURES.index("alerts"), SERVICE_FEATURES.index("is_page")
# Columns that depend on the call graph; the graph-free control must not see them.
GRAPH_FEATURES: tuple[int, ...] = tuple(
    SERVICE_FEATURES.index(name) for name in (*_GRAPH_COLUMNS, *(f"{channel}.twin" for channel in CHANNELS))
)
# Numbers of callers and callees: all that the degree-only control sees of the graph.
DEGREE_FEATURES: tuple[int, ...] = GRAPH_FEATURES[:4]
CALL_FEATURES = ("has", "slow", "failing", "quiet")


class Graph(NamedTuple):
    """One incident as arrays."""

    x: npt.NDArray[np.float32]  # (S, F)
    mode: int  # index into MODES
    edge_index: Ints  # (2, E): caller, callee
    edge_attr: npt.NDArray[np.float32]  # (E, A)


class Features(NamedTuple):
    """One incident as arrays, with the deviations behind them."""

    graph: Graph
    block: Stack  # with baselines corrected for drift
    deviations: Deviations
    calls: MeasuredCalls


def featurize(incident: Incident, channel_map: ChannelMap | None = None) -> Graph:
    """Turns an incident into arrays, without reading its labels.

    Args:
        incident: all but the services may be missing.
        channel_map: how metric names are read; None for the default rules.
    """
    return features_of(incident, channel_map).graph


def features_of(
    incident: Incident, channel_map: ChannelMap | None = None, of_calls: MeasuredCalls | None = None
) -> Features:
    """Like `featurize`, with the deviations; `of_calls` avoids comparing the calls again."""
    channel_map = channel_map or default_channel_map()
    block = stack(incident, channel_map)
    index = {name: i for i, name in enumerate(incident.services)}
    has_baseline = block.baseline.shape[2] > 0 and bool(np.isfinite(block.baseline).any())
    only_alerts = bool(incident.alerts) and not block.incident.size
    mode = _BASELINED if has_baseline else _ALERTS if only_alerts else _SNAPSHOT
    page = incident.page
    page_row = index.get(page.service) if page else None
    kind = paged_channels(page)
    paged_over_time = None  # (T,)
    if mode == _BASELINED and page_row is not None:
        paged_over_time = page_deviation(block, page_row, kind)
        block = shift_baselines(block, quiet_points(paged_over_time, page))
    found = deviations(block)
    statistics, over_time = found.statistics, found.over_time
    measured = statistics[..., _HAS] > 0  # (S, C); by telemetry, before alerts are added
    alerts, surprise = alert_columns(incident, index, statistics, channel_map, alone=mode == _ALERTS)

    calls = calls_of(incident, index)
    # An address may repeat what the service behind it measures.
    echo, echoed = _fold_addresses(calls, statistics, over_time, measured)
    of_calls = of_calls or measured_calls(incident, channel_map)
    edge_attr = _call_columns(incident, calls, index, of_calls)
    anomaly, worst = _anomaly(statistics, alerts, mode)
    # How abnormal each service was while what paged was, and how much more so than at other times.
    aligned, contrast = worst, np.zeros_like(worst)
    if mode == _BASELINED:
        if kind == LATENCY:  # tails grow in many places; the median grows at the root cause
            has_middle = measured[:, CHANNEL_INDEX[Channel.LATENCY_MID]].any()
            kind = LATENCY[:1] if has_middle else LATENCY[1:]
        paged = over_time[:, [CHANNEL_INDEX[channel] for channel in kind]].max(axis=1)  # (S, T)
        time_weights = _time_weights(
            np.maximum(paged, 0.0).sum(axis=0) if paged_over_time is None else np.nan_to_num(paged_over_time)
        )
        aligned = np.maximum(paged @ time_weights, 0.0)
        offset = time_weights - 1.0 / max(len(time_weights), 1)
        contrast = paged @ offset
        statistics[..., _TIMING] = over_time @ offset
    twin_columns = np.zeros((len(index), 2))  # similarity to the replicas, and how much more abnormal
    if mode == _ALERTS:
        aligned = surprise
        twin = replicas(calls, incident.services, incident.owners, ask_calls=True)
        change = statistics[..., _UP] - statistics[..., _DOWN]  # (S, C)
        statistics[..., _TWIN] = twin.lead(change) * statistics[..., _HAS]
        twin_columns = np.column_stack([twin.alike, twin.lead(anomaly[:, None])])
    silent = (statistics[..., _HAS] == 0).all(axis=1).astype(float)
    compared = np.array([anomaly, worst, aligned])
    compared = np.concatenate(np.stack([compared, _rank(compared), _lead(compared)], axis=1))
    summary = np.concatenate([compared, [contrast, silent]])
    context = np.array(
        [
            np.log1p(len(incident.services)) / 5,
            np.log1p(block.incident.shape[2]) / 3,
            page is not None,
            page is not None and Channel.ERROR not in kind,
            page is not None and kind == (Channel.ERROR,),
        ],
        dtype=float,
    )
    by_calls = np.hstack([structure(calls, anomaly, aligned, page_row, echo, echoed), twin_columns])
    x = np.concatenate(
        [
            statistics.reshape(len(index), len(CHANNELS) * K),
            alerts,
            summary.T,
            np.broadcast_to(context, (len(index), len(context))),
            by_calls,
        ],
        axis=1,
        dtype=np.float32,
    )
    graph = Graph(x, mode, calls.edge_index, edge_attr.astype(np.float32))
    return Features(graph, block, found, of_calls)


def _fold_addresses(
    calls: Calls, statistics: Floats, over_time: Floats, measured: Bools
) -> tuple[Floats, Floats]:
    """Merges the metrics of an address into the service behind it, in place; the larger value counts.

    Returns how surely each service is an address, and is behind one: twice (S,).

    Args:
        calls: the call graph.
        statistics: (S, C, K)
        over_time: (S, C, T)
        measured: (S, C) by telemetry.
    """
    echo, echoed = np.zeros(len(statistics)), np.zeros(len(statistics))
    if over_time.any():
        felt = np.maximum(over_time[:, _ECHOING], 0.0).reshape(len(statistics), -1)
        known_inside = np.asarray(measured[:, _INSIDE].any(axis=1))
        for address, behind, alike in echoes(calls, felt, known_inside):
            echo[address] = alike
            echoed[behind] = max(echoed[behind], alike)
            if alike > _SAME:
                here, there = statistics[behind, :, _HAS] > 0, statistics[address, :, _HAS] > 0
                both, only = here & there, there & ~here
                for rows in (statistics, over_time):  # (S, C, ·)
                    rows[behind, both] = np.maximum(rows[behind, both], rows[address, both])
                    rows[behind, only] = rows[address, only]
                    rows[address] = 0.0
    return echo, echoed


def _anomaly(statistics: Floats, alerts: Floats, mode: int) -> tuple[Floats, Floats]:
    """How abnormal each service is, as a sum over channels and at its worst: twice (S,)."""
    strength = statistics[..., _UP] if mode != _SNAPSHOT else np.maximum(statistics[..., _PEER], 0.0)
    summed = alerts[:, 0] if mode == _ALERTS else strength[:, _SHOWN_INDEX].sum(axis=1)
    return summed, strength[:, _FELT_INDEX].max(axis=1, initial=0.0)


def _time_weights(deviation: Floats) -> Floats:
    """Weights of the points in time, proportional to the deviation: (T,)."""
    total = deviation.sum()
    return deviation / total if total > 0 else np.full(len(deviation), 1.0 / max(len(deviation), 1))


def _call_columns(incident: Incident, calls: Calls, index: dict[str, int], measured: MeasuredCalls) -> Floats:
    """The features of each call, from its own telemetry or from trace alerts: (E, A)."""
    out = np.zeros((calls.edge_index.shape[1], len(CALL_FEATURES)))
    if not incident.call_telemetry and not incident.alerts:
        return out
    position = {pair: i for i, pair in enumerate(zip(*calls.edge_index.tolist(), strict=True))}
    for alert in incident.alerts:
        if alert.kind == "trace" and alert.caller and alert.caller in index and alert.service in index:
            edge = position.get((index[alert.caller], index[alert.service]))
            if edge is not None:
                out[edge, 0] = 1.0
                if alert.direction is not None:  # otherwise: slow or failed, unknown
                    out[edge, 1 if alert.direction == "PD" else 2] += 1.0 - incident.routine.get(alert, 0.0)
    out[:, 1:3] = np.log1p(out[:, 1:3])
    if measured.pairs:
        statistics = measured.deviations.statistics
        latency = [CHANNEL_INDEX[channel] for channel in LATENCY]
        slow = statistics[:, latency, _UP].max(axis=1)
        failing = statistics[:, CHANNEL_INDEX[Channel.ERROR], _UP]
        quiet = statistics[:, CHANNEL_INDEX[Channel.TRAFFIC], _DOWN]
        for row, (caller, callee) in enumerate(measured.pairs):
            edge = position.get((index.get(caller, -1), index.get(callee, -1)))
            if edge is not None:
                out[edge] = np.maximum(out[edge], (1.0, slow[row], failing[row], quiet[row]))
    return out


def _rank(rows: Floats) -> Floats:
    """The rank within each row, from 0 to 1 for the largest, ties averaged: (N, S)."""
    ordered = np.sort(rows, axis=1)
    below = [
        np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
        for known, values in zip(ordered, rows, strict=True)
    ]
    return np.asarray(np.array(below) / max(2 * rows.shape[1], 1))


def _lead(rows: Floats) -> Floats:
    """The difference to the best other service of the row: (N, S)."""
    if rows.shape[1] < 2:
        return np.zeros_like(rows)
    second, best = np.partition(rows, -2, axis=1)[:, -2:].T[..., None]
    return np.asarray(rows - np.where(rows == best, second, best))
