"""Evidence → numbers: one row a service, one row a call, the same columns for every system.

Shapes: S services, E calls, F service features, A call features.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.channels import Channel, ChannelMap, default_channel_map
from data.incident import Incident
from gnn.features.alerts import ALERT_COLUMNS, alert_columns
from gnn.features.deviation import STATISTICS, Deviations, K, MeasuredCalls, deviations, measured_calls
from gnn.features.drift import LATENCY, page_course, paged_channels, quiet_points, renewed
from gnn.features.replicas import replicas
from gnn.features.stack import CHANNEL_INDEX, CHANNELS, Stack, stack
from gnn.features.topology import Calls, calls_of, echoes, structure

Floats = npt.NDArray[np.float64]

# Raised whenever a column changes its meaning; a checkpoint of another version is refused.
FEATURE_VERSION = 5

# The first columns are channels × statistics.
CHANNEL_BLOCK = (len(CHANNELS), len(STATISTICS))

# Three situations are different inputs, not one with zeros.
MODES = ("baselined", "snapshot", "alerts")

_HAS, _UP, _DOWN, _PEER, _TIMING, _TWIN = (
    STATISTICS.index(name) for name in ("has", "up", "down", "peer", "timing", "twin")
)
# What users feel, and what a culprit may show while users feel it elsewhere.
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
_SAME = 0.9  # cosine above which an address and a service are taken for one
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
# The columns that know the call graph: a graph-free control must not see them.
GRAPH_FEATURES: tuple[int, ...] = tuple(
    SERVICE_FEATURES.index(name) for name in (*_GRAPH_COLUMNS, *(f"{channel}.twin" for channel in CHANNELS))
)
# How many call a service and how many it calls: all that the degree-only control sees of the graph.
DEGREE_FEATURES: tuple[int, ...] = GRAPH_FEATURES[:4]
CALL_FEATURES = ("has", "slow", "failing", "quiet")


class Graph(NamedTuple):
    """One incident as arrays."""

    x: npt.NDArray[np.float32]  # (S, F)
    mode: int  # index into MODES
    edge_index: npt.NDArray[np.int64]  # (2, E): caller, callee
    edge_attr: npt.NDArray[np.float32]  # (E, A)


class Features(NamedTuple):
    """One incident as arrays, and the deviations that these were made of."""

    graph: Graph
    block: Stack  # baselines as renewed by a page that comes and goes
    deviations: Deviations
    calls: MeasuredCalls


def featurize(incident: Incident, channel_map: ChannelMap | None = None) -> Graph:
    """Turns an incident into arrays; labels are not read.

    Args:
        incident: at least the services; everything else may be missing.
        channel_map: how metric names are read; the default rules when None.
    """
    return features_of(incident, channel_map).graph


def features_of(
    incident: Incident, channel_map: ChannelMap | None = None, of_calls: MeasuredCalls | None = None
) -> Features:
    """As `featurize`, with what the arrays were made of; calls that are compared already are not again."""
    channel_map = channel_map or default_channel_map()
    block = stack(incident, channel_map)
    index = {name: i for i, name in enumerate(incident.services)}
    has_baseline = block.baseline.shape[2] > 0 and bool(np.isfinite(block.baseline).any())
    mode = 0 if has_baseline else 2 if incident.alerts and not block.incident.size else 1
    page = incident.page
    page_row = index.get(page.service) if page else None
    kind = paged_channels(page)
    felt = None  # (T,) at the paging service
    if mode == 0 and page_row is not None:
        felt = page_course(block, page_row, kind)
        block = renewed(block, quiet_points(felt, page))
    found = deviations(block)
    statistics, over_time = found.statistics, found.over_time
    measured = statistics[..., _HAS] > 0  # (S, C); alerts count as measurements only from here on
    alerts, surprise = alert_columns(incident, index, statistics, channel_map, alone=mode == 2)

    calls = calls_of(incident, index)
    echo, echoed = _fold_addresses(calls, statistics, over_time, measured)
    of_calls = of_calls or measured_calls(incident, channel_map)
    edge_attr = _call_columns(incident, calls, index, of_calls)
    anomaly, worst = _anomaly(statistics, alerts, mode)
    aligned, contrast = worst, np.zeros_like(worst)
    rhythm = None
    if mode == 0:
        if kind == LATENCY:  # many tails are long; it is the culprit that is slow for most
            has_middle = measured[:, CHANNEL_INDEX[Channel.LATENCY_MID]].any()
            kind = LATENCY[:1] if has_middle else LATENCY[1:]
        paged = over_time[:, [CHANNEL_INDEX[channel] for channel in kind]].max(axis=1)  # (S, T)
        rhythm = _rhythm(np.maximum(paged, 0.0).sum(axis=0) if felt is None else np.nan_to_num(felt))
        aligned = np.maximum(paged @ rhythm, 0.0)
        offset = rhythm - 1.0 / max(len(rhythm), 1)
        contrast = paged @ offset
        statistics[..., _TIMING] = over_time @ offset
    twin_columns = np.zeros((len(index), 2))  # alike, and how much more abnormal
    if mode == 2:
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
    calls: Calls, statistics: Floats, over_time: Floats, measured: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """What an address shows counts for the service behind it, in place; how much each is one: twice (S,).

    `measured` (S, C): what telemetry tells of each service. Of what both show the greater counts.
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
    """How abnormal each service is, summed over the bad channels and at worst: twice (S,)."""
    strength = statistics[..., _UP] if mode != 1 else np.maximum(statistics[..., _PEER], 0.0)
    summed = alerts[:, 0] if mode == 2 else strength[:, _SHOWN_INDEX].sum(axis=1)
    return summed, strength[:, _FELT_INDEX].max(axis=1, initial=0.0)


def _rhythm(felt: Floats) -> Floats:
    """How much each point in time counts: as much as is felt at it: (T,)."""
    return felt / felt.sum() if felt.sum() > 0 else np.full(len(felt), 1.0 / max(len(felt), 1))


def _call_columns(incident: Incident, calls: Calls, index: dict[str, int], measured: MeasuredCalls) -> Floats:
    """(E, A): what is known of each call itself, from its own telemetry or from trace alerts."""
    out = np.zeros((calls.edge_index.shape[1], len(CALL_FEATURES)))
    if not incident.call_telemetry and not incident.alerts:
        return out
    position = {pair: i for i, pair in enumerate(zip(*calls.edge_index.tolist(), strict=True))}
    for alert in incident.alerts:
        if alert.kind == "trace" and alert.caller and alert.caller in index and alert.service in index:
            edge = position.get((index[alert.caller], index[alert.service]))
            if edge is not None:
                out[edge, 0] = 1.0
                out[edge, 1 if alert.direction == "PD" else 2] += 1.0
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
    """1 for the largest of each row, towards 0 for its smallest, ties averaged: (N, S)."""
    ordered = np.sort(rows, axis=1)
    below = [
        np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
        for known, values in zip(ordered, rows, strict=True)
    ]
    return np.asarray(np.array(below) / max(2 * rows.shape[1], 1))


def _lead(rows: Floats) -> Floats:
    """Distance to the best other service of the row: (N, S)."""
    if rows.shape[1] < 2:
        return np.zeros_like(rows)
    second, best = np.partition(rows, -2, axis=1)[:, -2:].T[..., None]
    return np.asarray(rows - np.where(rows == best, second, best))
