"""Evidence → numbers: one row a service, one row a call, the same columns for every system.

Shapes: S services, E calls, F service features, A call features.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.channels import Channel, ChannelMap, default_channel_map
from data.incident import Incident
from gnn.features.alerts import ALERT_COLUMNS, REPLICA_ALERT_COLUMNS, alert_columns, beside_replicas
from gnn.features.call_evidence import CALL_COLUMNS, call_evidence
from gnn.features.deviation import STATISTICS, Deviations, K, deviations
from gnn.features.drift import LATENCY, page_course, paged_channels, quiet_points, renewed
from gnn.features.nan_statistics import lead
from gnn.features.replicas import replicas
from gnn.features.stack import CHANNEL_INDEX, CHANNELS, Stack, stack
from gnn.features.topology import Calls, calls_of, echoes, structure

Floats = npt.NDArray[np.float64]

# Raised whenever a column changes its meaning; a checkpoint of another version is refused.
FEATURE_VERSION = 6

# The first columns are channels × statistics.
CHANNEL_BLOCK = (len(CHANNELS), len(STATISTICS))

# Three situations are different inputs, not one with zeros.
MODES = ("baselined", "snapshot", "alerts")

_HAS, _UP, _DOWN, _MEAN, _PEER, _TIMING, _TWIN = (
    STATISTICS.index(name) for name in ("has", "up", "down", "mean", "peer", "timing", "twin")
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
    "aligned", "aligned_rank", "aligned_lead", "contrast", "silent", "bystander",
)  # fmt: skip
_GRAPH_COLUMNS = (
    "callers", "callees", "no_callers", "no_callees", "is_page", "near_page", "traversal", "traversal_lead",
    "pagerank", "pagerank_lead", "callee_anomaly", "caller_anomaly", "excess_over_callees",
    "echo", "echoed", "twin_alike", "twin_excess", *REPLICA_ALERT_COLUMNS, *CALL_COLUMNS,
)  # fmt: skip
_CONTEXT_COLUMNS = ("log_services", "log_points", "has_page", "pages_latency", "pages_error", "past_known")

SERVICE_FEATURES: tuple[str, ...] = (
    *(f"{channel}.{statistic}" for channel in CHANNELS for statistic in STATISTICS),
    *ALERT_COLUMNS,
    *_SUMMARY_COLUMNS,
    *_CONTEXT_COLUMNS,
    *_GRAPH_COLUMNS,
)
BYSTANDER, IS_PAGE, N_ALERTS = (SERVICE_FEATURES.index(name) for name in ("bystander", "is_page", "alerts"))
# The columns that know the call graph: a graph-free control must not see them.
GRAPH_FEATURES: tuple[int, ...] = tuple(
    SERVICE_FEATURES.index(name) for name in (*_GRAPH_COLUMNS, *(f"{channel}.twin" for channel in CHANNELS))
)
# How many call a service and how many it calls: all that the degree-only control sees of the graph.
DEGREE_FEATURES: tuple[int, ...] = GRAPH_FEATURES[:4]


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


def featurize(incident: Incident, channel_map: ChannelMap | None = None) -> Graph:
    """Turns an incident into arrays; labels are not read.

    Args:
        incident: at least the services; everything else may be missing.
        channel_map: how metric names are read; the default rules when None.
    """
    return features_of(incident, channel_map).graph


def features_of(incident: Incident, channel_map: ChannelMap | None = None) -> Features:
    """As `featurize`, with what the arrays were made of."""
    channel_map = channel_map or default_channel_map()
    index = {name: i for i, name in enumerate(incident.services)}
    calls = calls_of(incident, index)
    page = incident.page
    page_row = index.get(page.service) if page else None
    apart = _apart(incident, calls, page_row, index)
    block = stack(incident, channel_map, apart)
    has_baseline = block.baseline.shape[2] > 0 and bool(np.isfinite(block.baseline).any())
    mode = 0 if has_baseline else 2 if incident.alerts and not block.incident.size else 1
    kind = paged_channels(page)
    felt = None  # (T,) at the paging service
    if mode == 0 and page_row is not None:
        felt = page_course(block, page_row, kind, apart)
        block = renewed(block, quiet_points(felt, page))
    found = deviations(block, apart)
    statistics, over_time, bystander = found.statistics, found.over_time, found.bystander
    measured = statistics[..., _HAS] > 0  # (S, C); alerts count as measurements only from here on
    alerts, surprise = alert_columns(incident, index, statistics, channel_map, alone=mode == 2)

    echo, echoed = _fold_addresses(calls, statistics, over_time, measured)
    edge_attr, call_columns = call_evidence(incident, calls, index, channel_map)
    anomaly, worst = _anomaly(statistics, alerts, mode)
    aligned, contrast = worst, np.zeros_like(worst)
    rhythm = None
    if mode == 0:
        if kind == LATENCY:  # many tails are long; it is the culprit that is slow for most
            has_middle = measured[:, CHANNEL_INDEX[Channel.LATENCY_MID]].any()
            kind = LATENCY[:1] if has_middle else LATENCY[1:]
        paged = over_time[:, [CHANNEL_INDEX[channel] for channel in kind]].max(axis=1)  # (S, T)
        rhythm = _rhythm(
            np.maximum(paged[~bystander], 0.0).sum(axis=0) if felt is None else np.nan_to_num(felt)
        )
        aligned = np.maximum(paged @ rhythm, 0.0)
        offset = rhythm - 1.0 / max(len(rhythm), 1)
        contrast = paged @ offset
        statistics[..., _TIMING] = over_time @ offset
    if mode == 2:
        aligned = surprise
    siblings = replicas(calls, incident.services, incident.owners, ask_calls=mode == 2)
    twin_columns = np.zeros((len(index), 2 + len(REPLICA_ALERT_COLUMNS)))
    if siblings.alike.any():
        change = statistics[..., _MEAN] if mode == 0 else statistics[..., _PEER]
        change = statistics[..., _UP] - statistics[..., _DOWN] if mode == 2 else change  # (S, C)
        statistics[..., _TWIN] = siblings.lead(change) * statistics[..., _HAS]
        twin_columns[:, 0], twin_columns[:, 1] = siblings.alike, siblings.lead(anomaly[:, None])[:, 0]
        twin_columns[:, 2:] = beside_replicas(incident, index, alerts, siblings)
    silent = (statistics[..., _HAS] == 0).all(axis=1).astype(float)
    compared = np.array([anomaly, worst, aligned])
    compared = np.concatenate(np.stack([compared, _rank(compared, ~bystander), lead(compared)], axis=1))
    summary = np.concatenate([compared, [contrast, silent, bystander]])
    context = np.array(
        [
            np.log1p((~bystander).sum()) / 5,
            np.log1p(block.incident.shape[2]) / 3,
            page is not None,
            page is not None and Channel.ERROR not in kind,
            page is not None and kind == (Channel.ERROR,),
            bool(incident.routine),
        ],
        dtype=float,
    )
    by_calls = np.hstack(
        [
            structure(calls, anomaly, aligned, page_row, echo, echoed, (~bystander).astype(float)),
            twin_columns,
            call_columns,
        ]
    )
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
    return Features(graph, block, found)


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


def _apart(
    incident: Incident, calls: Calls, page: int | None, index: dict[str, int]
) -> npt.NDArray[np.bool_]:
    """Who has neither calls nor alerts and did not page, where others have calls: (S,)."""
    apart = np.ones(len(index), dtype=bool)
    apart[calls.edge_index.ravel()] = False
    apart[[index[alert.service] for alert in incident.alerts if alert.service in index]] = False
    if page is not None:
        apart[page] = False
    return apart if calls.edge_index.size and not apart.all() else np.zeros(len(index), dtype=bool)


def _rank(rows: Floats, among: npt.NDArray[np.bool_]) -> Floats:
    """Among some: 1 for the largest of each row, towards 0 for its smallest, ties averaged: (N, S)."""
    ordered = np.sort(rows[:, among], axis=1)
    below = [
        np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
        for known, values in zip(ordered, rows, strict=True)
    ]
    return np.asarray(np.array(below) / max(2 * ordered.shape[1], 1))
