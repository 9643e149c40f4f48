"""Turns alert events into feature columns: how many, of what kind, and how rare.

Shapes: S services, C channels, K statistics.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from data.arrays import Floats
from data.channels import Channel, ChannelMap
from data.incident import AlertEvent, Incident
from gnn.features.deviation import STATISTICS
from gnn.features.stack import CHANNEL_INDEX, CHANNELS

ALERT_COLUMNS = ("alerts", "alerts_share", "alerts_alone", "alert_kinds")
_UP, _DOWN, _PEER = (STATISTICS.index(name) for name in ("up", "down", "peer"))
# If alerts are the only evidence, these hold the rarity of a channel's alerts in the bad and the good
# direction, and the service's share of them.
_RARE_BAD, _RARE_GOOD, _SHARE = (STATISTICS.index(name) for name in ("mean", "ratio", "onset"))

_LOG_ONLY = 0.1  # weight of log alerts at a service without any other kind of alert
_MOST_REPEATS = 3  # the simulator never raises the same alert more often


def alert_columns(
    incident: Incident, index: dict[str, int], statistics: Floats, channel_map: ChannelMap, alone: bool
) -> tuple[Floats, Floats]:
    """Adds alert events to `statistics` as deviations, in place, and returns columns about the alerts.

    Rare alerts weigh more: log(S / services that raise it) / log S (inverse document frequency; Sparck
    Jones, 1972).

    Args:
        incident: with the alerts.
        index: row of each service.
        statistics: (S, C, K) from telemetry.
        channel_map: how metric names are read.
        alone: there is no telemetry, so some statistics of series hold the rarity of alerts instead.

    Returns:
        (S, 4) the alert columns, and (S,) the weights of each channel's rarest alert, summed.
    """
    columns = np.zeros((len(index), len(ALERT_COLUMNS)))
    if not incident.alerts or not index:
        return columns, np.zeros(len(index))
    counts = np.zeros((2, len(index), len(CHANNELS)))  # bad direction, good direction
    rare = np.zeros_like(counts)
    rarest = np.zeros_like(counts)
    holders: dict[tuple[str, str, str | None], set[str]] = {}
    kinds: dict[str, set[str]] = {}
    for alert in incident.alerts:
        holders.setdefault(_sort_of(alert), set()).add(alert.service)
    rarity = {
        sort: np.log(max(len(index), 2) / min(len(who), len(index))) / np.log(max(len(index), 2))
        for sort, who in holders.items()
    }
    beyond_logs = {alert.service for alert in incident.alerts if alert.kind != "log"}
    weighed: set[tuple[str, tuple[str, str, str | None]]] = set()
    for alert in _without_flapping(incident.alerts):
        row = index.get(alert.service)
        if row is None:
            continue
        sort = _sort_of(alert)
        unusual = 1.0 - incident.routine.get(alert, 0.0)
        if alert.kind == "log" and alert.service not in beyond_logs:
            unusual *= _LOG_ONLY
        columns[row, 0] += unusual
        columns[row, 2] += unusual * (len(holders[sort]) == 1)
        kinds.setdefault(alert.service, set()).add(alert.kind)
        first = (alert.service, sort) not in weighed
        weighed.add((alert.service, sort))
        for channel, where, good in _alert_meaning(alert, row, index, channel_map):
            at = int(good), where, CHANNEL_INDEX[channel]
            counts[at] += unusual
            if first and where == row:
                rare[at] += unusual * rarity[sort]
                rarest[at] = max(rarest[at], unusual * rarity[sort])
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
    if alone:
        statistics[..., _RARE_BAD], statistics[..., _RARE_GOOD] = np.log1p(rare)
        statistics[..., _SHARE] = share
    return columns, rarest.sum(axis=(0, 2))


def _without_flapping(alerts: Sequence[AlertEvent]) -> Iterator[AlertEvent]:
    """Each alert at most `_MOST_REPEATS` times: more repeats of a flapping alert say little."""
    raised: Counter[AlertEvent] = Counter()
    for alert in alerts:
        raised[alert] += 1
        if raised[alert] <= _MOST_REPEATS:
            yield alert


def _sort_of(alert: AlertEvent) -> tuple[str, str, str | None]:
    """Groups like alerts: by metric and direction, or by how a call failed; all log alerts are alike."""
    if alert.kind == "metric":
        return alert.kind, alert.name, alert.direction
    if alert.kind == "trace":
        where = "self" if alert.caller == alert.service else "callee"
        return alert.kind, where, alert.direction and ("slow" if alert.direction == "PD" else "failed")
    return alert.kind, "", None


def _alert_meaning(
    alert: AlertEvent, row: int, index: dict[str, int], channel_map: ChannelMap
) -> Iterator[tuple[Channel, int, bool]]:
    """Yields (channel, service row, is good direction)."""
    if alert.kind == "log":
        yield Channel.LOGS, row, False
    elif alert.kind == "trace":
        if alert.direction is None:
            return  # slow or failed: unknown
        slow = alert.direction == "PD"
        if alert.caller == alert.service:
            yield (Channel.OWN_LATENCY if slow else Channel.ERROR), row, False
        else:
            yield (Channel.LATENCY_TAIL if slow else Channel.ERROR), row, False
            if alert.caller is not None and alert.caller in index:
                yield (Channel.CLIENT_LATENCY if slow else Channel.CLIENT_ERROR), index[alert.caller], False
    elif (meaning := channel_map(alert.name)) is not None:
        yield meaning.channel, row, alert.direction == meaning.good_direction
