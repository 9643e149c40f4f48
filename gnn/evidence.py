"""Why a service is suspected, in plain sentences that a person or a model can check."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from data.channels import Channel, ChannelMap
from data.incident import Incident, Series
from gnn.deviation import AGES, SHARES

_MOST = 4  # sentences a candidate
_NOTABLE = 3.0  # robust z from which a deviation is worth a sentence
_RECENT_S = 3600.0
_CHANGED = {
    Channel.DEPLOY_AGE: "deployed",
    Channel.CONFIG_AGE: "configuration changed",
    Channel.UPTIME: "process started",
}
_SHOWN_WORSE = frozenset(Channel) - AGES


class _Deviation(NamedTuple):
    strength: float
    sentence: str


def explain(
    incident: Incident, services: Sequence[str], channel_map: ChannelMap
) -> dict[str, tuple[str, ...]]:
    """For each of `services` its evidence, strongest first, at most four sentences each.

    Metrics are compared with their own baseline where there is one, else with their first point and with the
    same metric of the other services.
    """
    callers = _callers(incident)
    return {
        service: _explain_one(incident, service, callers.get(service, ()), channel_map)
        for service in services
    }


def _explain_one(
    incident: Incident, service: str, callers: Sequence[str], channel_map: ChannelMap
) -> tuple[str, ...]:
    telemetry = incident.telemetry.get(service, {})
    found = [
        deviation
        for name, series in telemetry.items()
        if (meaning := channel_map(name)) is not None
        and meaning.channel in _SHOWN_WORSE
        and (deviation := _deviation(name, series, meaning.channel, incident, service)) is not None
    ]
    found.sort(key=lambda deviation: -deviation.strength)
    sentences = [deviation.sentence for deviation in found[:2]]
    sentences += _changes(telemetry, channel_map)
    sentences += _alerts(incident, service)
    hurt = [name for name in callers if _is_hurt(incident, name, channel_map)]
    if hurt:
        sentences.append(f"{len(hurt)} of {len(callers)} callers are degraded too: {', '.join(hurt[:3])}")
    elif callers and not telemetry:
        sentences.append(f"no metrics of its own; called by {', '.join(callers[:3])}")
    return tuple(sentences[:_MOST])


def _deviation(
    name: str, series: Series, channel: Channel, incident: Incident, service: str
) -> _Deviation | None:
    now = series.incident[np.isfinite(series.incident)]
    past = series.baseline[np.isfinite(series.baseline)]
    if len(past) and not len(now):
        return _Deviation(_NOTABLE, f"{name} is no longer reported")
    if not len(now):
        return None
    worst = now[np.argmax(np.abs(now - np.median(past)))] if len(past) else now[-1]
    if len(past) >= 3:
        center, spread = float(np.median(past)), _spread(past, channel)
        z = abs(worst - center) / spread
        sentence = f"{name} went from {_number(center)} to {_number(worst)} ({min(z, 999):.0f} deviations)"
        return _Deviation(z, sentence) if z >= _NOTABLE else None
    if len(now) >= 2 and abs(now[-1] - now[0]) > 0.2 * abs(now[0]) + 1e-3:
        z = abs(now[-1] - now[0]) / (0.1 * abs(now[0]) + 1e-3)
        return _Deviation(
            z, f"{name} went from {_number(now[0])} to {_number(now[-1])} in {len(now) - 1} ticks"
        )
    peers = np.array(
        [
            points[-1]
            for other, metrics in incident.telemetry.items()
            if other != service and name in metrics and len(points := metrics[name].incident)
        ]
    )
    peers = peers[np.isfinite(peers)]
    if not len(peers):
        return None
    center = float(np.median(peers))
    z = (worst - center) / _spread(peers, channel)
    sentence = f"{name} is {_number(worst)} where its peers have {_number(center)}"
    return _Deviation(z, sentence) if z >= _NOTABLE else None


def _spread(points: np.ndarray, channel: Channel) -> float:
    center = float(np.median(points))
    mad = 1.4826 * float(np.median(np.abs(points - center)))
    return max(mad, 0.1 * abs(center), 0.01 if channel in SHARES else 1e-6)


def _changes(telemetry: Mapping[str, Series], channel_map: ChannelMap) -> list[str]:
    sentences = []
    for name, series in telemetry.items():
        meaning = channel_map(name)
        if meaning and meaning.channel in _CHANGED and len(series.incident):
            age_s = series.incident[-1] * meaning.scale
            if np.isfinite(age_s) and age_s < _RECENT_S:
                sentences.append(f"{_CHANGED[meaning.channel]} {_ago(age_s)} ago")
    return sentences


def _alerts(incident: Incident, service: str) -> list[str]:
    names = [alert.name for alert in incident.alerts if alert.service == service]
    if not names:
        return []
    distinct = list(dict.fromkeys(names))
    return [f"{len(names)} alerts of its own: {', '.join(distinct[:3])}"]


def _is_hurt(incident: Incident, service: str, channel_map: ChannelMap) -> bool:
    wanted = {Channel.ERROR, Channel.LATENCY_MID, Channel.LATENCY_TAIL}
    return any(
        (meaning := channel_map(name)) is not None
        and meaning.channel in wanted
        and _deviation(name, series, meaning.channel, incident, service) is not None
        for name, series in incident.telemetry.get(service, {}).items()
    ) or any(alert.service == service and alert.kind == "trace" for alert in incident.alerts)


def _callers(incident: Incident) -> dict[str, list[str]]:
    callers: dict[str, list[str]] = {}
    for caller, callees in incident.call_graph.items():
        for callee in callees:
            if callee != caller:
                callers.setdefault(callee, []).append(caller)
    return callers


def _number(value: float) -> str:
    return f"{value:.3g}"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
