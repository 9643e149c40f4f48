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
from gnn.topology import Calls, calls_of, echoes, structure

Floats = npt.NDArray[np.float64]

# Raised whenever a column changes its meaning; a checkpoint of another version is refused.
FEATURE_VERSION = 2

# The first columns are channels × statistics.
CHANNEL_BLOCK = (len(CHANNELS), len(STATISTICS))

# Three situations are different inputs, not one with zeros.
MODES = ("baselined", "snapshot", "alerts")

_UP, _DOWN, _PEER, _TIMING = (STATISTICS.index(name) for name in ("up", "down", "peer", "timing"))
# On a list of alerts these hold how rare a channel's alerts are, in the bad and the good direction, and the
# service's share of them.
_RARE_BAD, _RARE_GOOD, _SHARE = (STATISTICS.index(name) for name in ("mean", "ratio", "onset"))
_ALERT_COLUMNS = ("alerts", "alerts_share", "alerts_alone", "alert_kinds")
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
_ECHOING = [CHANNEL_INDEX[channel] for channel in (Channel.ERROR, Channel.LATENCY_MID, Channel.LATENCY_TAIL)]
_SHOWN_INDEX = [CHANNEL_INDEX[Channel(name)] for name in _SHOWN]
_SUMMARY_COLUMNS = (
    "anomaly", "anomaly_rank", "anomaly_lead", "worst", "worst_rank", "worst_lead",
    "aligned", "aligned_rank", "aligned_lead", "contrast", "silent",
)  # fmt: skip
_GRAPH_COLUMNS = (
    "callers", "callees", "no_callers", "no_callees", "is_page", "near_page", "traversal", "traversal_lead",
    "pagerank", "pagerank_lead", "callee_anomaly", "caller_anomaly", "excess_over_callees",
    "echo", "echoed",
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
    has_baseline = block.baseline.shape[2] > 0 and bool(np.isfinite(block.baseline).any())
    mode = 0 if has_baseline else 2 if incident.alerts and not block.incident.size else 1
    alerts, surprise = _alert_columns(incident, index, statistics, channel_map, mode)

    calls = calls_of(incident, index)
    echo, echoed = _fold_addresses(calls, statistics, over_time)
    edge_attr = _call_columns(incident, calls, index, channel_map)
    anomaly, worst = _anomaly(statistics, alerts, mode)
    page = incident.page
    page_row = index.get(page.service) if page else None
    kind = _paged_channels(page, np.asarray(statistics[..., 0].any(axis=0)))
    aligned, contrast = worst, np.zeros_like(worst)
    if mode == 0:
        paged = over_time[:, [CHANNEL_INDEX[channel] for channel in kind]].max(axis=1)  # (S, T)
        rhythm = _rhythm(paged, page_row)
        aligned = np.maximum(paged @ rhythm, 0.0)
        offset = rhythm - 1.0 / max(len(rhythm), 1)
        contrast = paged @ offset
        statistics[..., _TIMING] = over_time @ offset
    elif mode == 2:
        aligned = surprise
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
            page is not None and kind == (Channel.ERROR,),
        ],
        dtype=float,
    )
    graph = structure(calls, anomaly, aligned, page_row, echo, echoed)
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


def _fold_addresses(calls: Calls, statistics: Floats, over_time: Floats) -> tuple[Floats, Floats]:
    """What an address shows counts for the service behind it, in place; how much each is one: twice (S,)."""
    echo, echoed = np.zeros(len(statistics)), np.zeros(len(statistics))
    if over_time.any():
        felt = np.maximum(over_time[:, _ECHOING], 0.0).reshape(len(statistics), -1)
        known_inside = np.asarray((statistics[:, _INSIDE, 0] > 0).any(axis=1))
        for address, behind, alike in echoes(calls, felt, known_inside):
            echo[address] = alike
            echoed[behind] = max(echoed[behind], alike)
            if alike > _SAME:
                statistics[behind] = np.maximum(statistics[behind], statistics[address])
                over_time[behind] = np.maximum(over_time[behind], over_time[address])
                statistics[address], over_time[address] = 0.0, 0.0
    return echo, echoed


def _alert_columns(
    incident: Incident, index: dict[str, int], statistics: Floats, channel_map: ChannelMap, mode: int
) -> tuple[Floats, Floats]:
    """Counts alert events into `statistics`, in place, as deviations; returns columns about them.

    What few services show says more than what all show: like the words of a text, an alert weighs
    log(S / holders) (inverse document frequency; Sparck Jones, 1972), divided by log S.

    Returns:
        (S, 4) the alert columns, and (S,) the summed weight of the rarest alert of each channel.
    """
    columns = np.zeros((len(index), len(_ALERT_COLUMNS)))
    if not incident.alerts:
        return columns, np.zeros(len(index))
    counts = np.zeros((2, len(index), len(CHANNELS)))  # bad direction, good direction
    rare = np.zeros_like(counts)
    rarest = np.zeros_like(counts)
    holders: dict[tuple[str, str, str | None], set[str]] = {}
    kinds: dict[str, set[str]] = {}
    for alert in incident.alerts:
        holders.setdefault(_sort_of(alert), set()).add(alert.service)
    weight = {
        sort: np.log(max(len(index), 2) / min(len(who), len(index))) / np.log(max(len(index), 2))
        for sort, who in holders.items()
    }
    weighed: set[tuple[str, tuple[str, str, str | None]]] = set()
    for alert in incident.alerts:
        row = index.get(alert.service)
        if row is None:
            continue
        sort = _sort_of(alert)
        columns[row, 0] += 1
        columns[row, 2] += len(holders[sort]) == 1
        kinds.setdefault(alert.service, set()).add(alert.kind)
        first = (alert.service, sort) not in weighed
        weighed.add((alert.service, sort))
        for channel, where, good in _alert_meaning(alert, row, index, channel_map):
            at = int(good), where, CHANNEL_INDEX[channel]
            counts[at] += 1
            if first and where == row:
                rare[at] += weight[sort]
                rarest[at] = max(rarest[at], weight[sort])
    columns[:, 1] = columns[:, 0] / max(columns[:, 0].sum(), 1.0)
    columns[:, 3] = [len(kinds.get(name, ())) / 3 for name in index]
    columns[:, (0, 2)] = np.log1p(columns[:, (0, 2)])
    seen = counts.any(axis=(0, 1))
    share = counts[0] / np.maximum(counts[0].sum(axis=0), 1.0)
    counts = np.log1p(counts)
    statistics[:, seen, 0] = 1.0
    statistics[..., _UP] = np.maximum(statistics[..., _UP], counts[0])
    statistics[..., _DOWN] = np.maximum(statistics[..., _DOWN], counts[1])
    change = counts[0] - counts[1]
    statistics[..., _PEER] += np.where(seen, change - np.mean(change, axis=0, keepdims=True), 0.0)
    if mode == 2:
        statistics[..., _RARE_BAD], statistics[..., _RARE_GOOD] = np.log1p(rare)
        statistics[..., _SHARE] = share
    return columns, rarest.sum(axis=(0, 2))


def _sort_of(alert: AlertEvent) -> tuple[str, str, str | None]:
    """What makes two alerts alike: a metric's name and direction, how a call failed, that a log spoke up."""
    if alert.kind == "metric":
        return alert.kind, alert.name, alert.direction
    if alert.kind == "trace":
        where = "self" if alert.caller == alert.service else "callee"
        return alert.kind, where, "slow" if alert.direction == "PD" else "failed"
    return alert.kind, "", None


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


def _paged_channels(page: Page | None, measured: npt.NDArray[np.bool_]) -> tuple[Channel, ...]:
    """The channels of the kind of metric that paged; errors and latency when that is not known.

    Args:
        page: what paged.
        measured: (C,) which channels the system has; tail latency stands in for the typical one.
    """
    metric = (page.metric or "").lower() if page else ""
    if any(word in metric for word in ("avail", "err", "success", "5xx")):
        return (Channel.ERROR,)
    middle = Channel.LATENCY_MID, Channel.LATENCY_TAIL
    latency = middle[:1] if measured[CHANNEL_INDEX[Channel.LATENCY_MID]] else middle[1:]
    if any(word in metric for word in ("lat", "dur", "time")):
        return latency
    return (Channel.ERROR, *middle)


def _rhythm(paged: Floats, page: int | None) -> Floats:
    """How much each point in time counts: as much as the paging service deviates at it, else everybody: (T,).

    Args:
        paged: (S, T) deviation over time on the kind of metric that paged.
        page: row of the paging service; without one the whole system sets the rhythm.
    """
    ticks = paged.shape[1]
    weight = np.maximum(paged[page] if page is not None else paged, 0.0)
    weight = weight if page is not None else weight.sum(axis=0)
    return weight / weight.sum() if weight.sum() > 0 else np.full(ticks, 1.0 / max(ticks, 1))


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
