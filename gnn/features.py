"""Evidence → numbers: one row a service, one row a call, the same columns for every system.

Shapes: S services, E calls, F service features, A call features.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.channels import Channel, ChannelMap, default_channel_map
from data.incident import AlertEvent, Incident, Page
from gnn.deviation import CHANNEL_INDEX, CHANNELS, STATISTICS, K, deviations, stack, stack_rows
from gnn.topology import Calls, calls_of, structure

Floats = npt.NDArray[np.float64]

# Raised whenever a column changes its meaning; a checkpoint of another version is refused.
FEATURE_VERSION = 1

# The first columns are channels × statistics.
CHANNEL_BLOCK = (len(CHANNELS), len(STATISTICS))

# Three situations are different inputs, not one with zeros.
MODES = ("baselined", "snapshot", "alerts")

_UP, _DOWN, _PEER = (STATISTICS.index(name) for name in ("up", "down", "peer"))
_ALERT_COLUMNS = ("alerts", "alerts_share", "alerts_alone", "alert_kinds")
# What users feel, and what a culprit may show while users feel it elsewhere.
_FELT = ("error", "latency_mid", "latency_tail", "own_latency", "network_fault", "saturation")
_SHOWN = (*_FELT, "cpu", "memory", "restarts", "logs")
_FELT_INDEX = [CHANNEL_INDEX[Channel(name)] for name in _FELT]
_SHOWN_INDEX = [CHANNEL_INDEX[Channel(name)] for name in _SHOWN]
_SUMMARY_COLUMNS = (
    "anomaly", "anomaly_rank", "anomaly_lead", "worst", "worst_rank", "worst_lead",
    "aligned", "aligned_rank", "aligned_lead", "contrast", "silent",
)  # fmt: skip
_GRAPH_COLUMNS = (
    "callers", "callees", "no_callers", "no_callees", "is_page", "near_page", "traversal", "traversal_lead",
    "pagerank", "pagerank_lead", "callee_anomaly", "caller_anomaly", "excess_over_callees",
)  # fmt: skip
_CONTEXT_COLUMNS = ("log_services", "log_points", "has_page", "pages_latency", "pages_error")

SERVICE_FEATURES: tuple[str, ...] = (
    *(f"{channel}.{statistic}" for channel in CHANNELS for statistic in STATISTICS),
    *_ALERT_COLUMNS,
    *_SUMMARY_COLUMNS,
    *_CONTEXT_COLUMNS,
    *_GRAPH_COLUMNS,
)
# The columns that know the call graph: a graph-free control must not see them.
GRAPH_FEATURES: tuple[int, ...] = tuple(SERVICE_FEATURES.index(name) for name in _GRAPH_COLUMNS)
# How many call a service and how many it calls: all that the degree-only control sees of the graph.
DEGREE_FEATURES: tuple[int, ...] = GRAPH_FEATURES[:4]
CALL_FEATURES = ("has", "slow", "failing", "quiet")


class Graph(NamedTuple):
    """One incident as arrays."""

    x: npt.NDArray[np.float32]  # (S, F)
    mode: int  # index into MODES
    edge_index: npt.NDArray[np.int64]  # (2, E): caller, callee
    edge_attr: npt.NDArray[np.float32]  # (E, A)


def featurize(incident: Incident, channel_map: ChannelMap | None = None) -> Graph:
    """Turns an incident into arrays; labels are not read.

    Args:
        incident: at least the services; everything else may be missing.
        channel_map: how metric names are read; the default rules when None.
    """
    channel_map = channel_map or default_channel_map()
    block = stack(incident, channel_map)
    statistics, over_time = deviations(block)
    index = {name: i for i, name in enumerate(incident.services)}
    alerts = _alert_columns(incident, index, statistics, channel_map)
    has_baseline = block.baseline.shape[2] > 0 and bool(np.isfinite(block.baseline).any())
    mode = 0 if has_baseline else 2 if incident.alerts and not block.incident.size else 1

    calls = calls_of(incident, index)
    edge_attr = _call_columns(incident, calls, index, channel_map)
    anomaly, worst = _anomaly(statistics, alerts, mode)
    page = incident.page
    page_row = index.get(page.service) if page else None
    kind = _paged_channels(page)
    paged = over_time[:, [CHANNEL_INDEX[channel] for channel in kind]].mean(axis=1)  # (S, T)
    aligned, contrast = _aligned(paged, page_row) if mode == 0 else (worst, np.zeros_like(worst))
    silent = (statistics[:, :, 0] == 0).all(axis=1).astype(float)
    summary = np.array(
        [
            *(f(values) for values in (anomaly, worst, aligned) for f in (np.asarray, _rank, _lead)),
            contrast,
            silent,
        ]
    )
    context = np.array(
        [
            np.log1p(len(incident.services)) / 5,
            np.log1p(block.incident.shape[2]) / 3,
            page is not None,
            page is not None and Channel.ERROR not in kind,
            page is not None and Channel.LATENCY_MID not in kind,
        ],
        dtype=float,
    )
    graph = structure(calls, anomaly, aligned, page_row)
    x = np.concatenate(
        [
            statistics.reshape(len(index), len(CHANNELS) * K),
            alerts,
            summary.T,
            np.broadcast_to(context, (len(index), len(context))),
            graph,
        ],
        axis=1,
        dtype=np.float32,
    )
    return Graph(x, mode, calls.edge_index, edge_attr.astype(np.float32))


def _alert_columns(
    incident: Incident, index: dict[str, int], statistics: Floats, channel_map: ChannelMap
) -> Floats:
    """Counts alert events into `statistics`, in place, as deviations; returns columns about them: (S, 4)."""
    columns = np.zeros((len(index), len(_ALERT_COLUMNS)))
    if not incident.alerts:
        return columns
    counts = np.zeros((len(index), len(CHANNELS), 2))  # bad direction, good direction
    holders: dict[tuple[str, str, str | None], set[str]] = {}
    kinds: dict[str, set[str]] = {}
    for alert in incident.alerts:
        holders.setdefault((alert.kind, alert.name, alert.direction), set()).add(alert.service)
    for alert in incident.alerts:
        row = index.get(alert.service)
        if row is None:
            continue
        columns[row, 0] += 1
        columns[row, 2] += len(holders[(alert.kind, alert.name, alert.direction)]) == 1
        kinds.setdefault(alert.service, set()).add(alert.kind)
        for channel, where, good in _alert_meaning(alert, row, index, channel_map):
            counts[where, CHANNEL_INDEX[channel], int(good)] += 1
    columns[:, 1] = columns[:, 0] / max(columns[:, 0].sum(), 1.0)
    columns[:, 3] = [len(kinds.get(name, ())) / 3 for name in index]
    columns[:, (0, 2)] = np.log1p(columns[:, (0, 2)])
    counts = np.log1p(counts)
    seen = counts.any(axis=(0, 2))
    statistics[:, seen, 0] = 1.0
    statistics[..., _UP] = np.maximum(statistics[..., _UP], counts[..., 0])
    statistics[..., _DOWN] = np.maximum(statistics[..., _DOWN], counts[..., 1])
    change = counts[..., 0] - counts[..., 1]
    statistics[..., _PEER] += np.where(seen, change - np.mean(change, axis=0, keepdims=True), 0.0)
    return columns


def _alert_meaning(
    alert: AlertEvent, row: int, index: dict[str, int], channel_map: ChannelMap
) -> Iterator[tuple[Channel, int, bool]]:
    """Yields (channel, service row, is good direction) for an alert event."""
    if alert.kind == "log":
        yield Channel.LOGS, row, False
    elif alert.kind == "trace":
        slow = alert.direction == "PD"
        if alert.caller == alert.service:
            yield (Channel.OWN_LATENCY if slow else Channel.ERROR), row, False
        else:
            yield (Channel.LATENCY_TAIL if slow else Channel.ERROR), row, False
            if alert.caller is not None and alert.caller in index:
                yield (Channel.CLIENT_LATENCY if slow else Channel.CLIENT_ERROR), index[alert.caller], False
    elif (meaning := channel_map(alert.name)) is not None:
        yield meaning.channel, row, (alert.direction == "down") != meaning.inverted


def _anomaly(statistics: Floats, alerts: Floats, mode: int) -> tuple[Floats, Floats]:
    """How abnormal each service is, summed over the bad channels and at worst: twice (S,)."""
    strength = statistics[..., _UP] if mode != 1 else np.maximum(statistics[..., _PEER], 0.0)
    summed = alerts[:, 0] if mode == 2 else strength[:, _SHOWN_INDEX].sum(axis=1)
    return summed, strength[:, _FELT_INDEX].max(axis=1, initial=0.0)


def _paged_channels(page: Page | None) -> tuple[Channel, ...]:
    """The channels of the kind of metric that paged; errors and typical latency when that is not known."""
    metric = (page.metric or "").lower() if page else ""
    if any(word in metric for word in ("avail", "err", "success", "5xx")):
        return (Channel.ERROR,)
    if any(word in metric for word in ("lat", "dur", "time")):
        return (Channel.LATENCY_MID,)
    return (Channel.ERROR, Channel.LATENCY_MID)


def _aligned(paged: Floats, page: int | None) -> tuple[Floats, Floats]:
    """Deviation while the paging service deviates, and how much more that is than at other times: twice (S,).

    Args:
        paged: (S, T) deviation over time on the kind of metric that paged.
        page: row of the paging service; without one every point counts the same.
    """
    services, ticks = paged.shape
    if not ticks:
        return np.zeros(services), np.zeros(services)
    weight = np.maximum(paged[page], 0.0) if page is not None else np.ones(ticks)
    weight = weight / weight.sum() if weight.sum() > 0 else np.full(ticks, 1.0 / ticks)
    aligned = paged @ weight
    rest = (1.0 - weight) / max(ticks - 1, 1)
    return np.maximum(aligned, 0.0), aligned - paged @ rest


def _call_columns(incident: Incident, calls: Calls, index: dict[str, int], channel_map: ChannelMap) -> Floats:
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
    if incident.call_telemetry:
        pairs = [pair for pair in incident.call_telemetry if pair[0] in index and pair[1] in index]
        measured, _ = deviations(stack_rows([incident.call_telemetry[p] for p in pairs], channel_map))
        latency = [CHANNEL_INDEX[Channel.LATENCY_MID], CHANNEL_INDEX[Channel.LATENCY_TAIL]]
        slow = measured[:, latency, _UP].max(axis=1)
        for row, (caller, callee) in enumerate(pairs):
            edge = position.get((index[caller], index[callee]))
            if edge is not None:
                failing = measured[row, CHANNEL_INDEX[Channel.ERROR], _UP]
                quiet = measured[row, CHANNEL_INDEX[Channel.TRAFFIC], _DOWN]
                out[edge] = np.maximum(out[edge], (1.0, slow[row], failing, quiet))
    return out


def _rank(values: Floats) -> Floats:
    """1 for the largest, towards 0 for the smallest, ties averaged: (S,)."""
    if not len(values):
        return values
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return below / (2 * len(values))


def _lead(values: Floats) -> Floats:
    """Distance to the best other service: (S,)."""
    if len(values) < 2:
        return np.zeros_like(values)
    second, best = np.partition(values, -2)[-2:]
    return np.asarray(np.where(values == best, values - second, values - best))
