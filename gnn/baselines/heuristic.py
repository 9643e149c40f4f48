"""The handcrafted ranker of the original FirewatchEnv agent: a sum of severity, blast radius and status.

It follows that agent's contract and reproduces its recorded rankings exactly.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from data.channels import Channel, ChannelMap, default_channel_map
from data.incident import AlertEvent, Incident, Series
from data.observation import Service, status_of
from gnn.baselines.reachability import transitive_caller_counts
from gnn.ranker import Candidate, Ranking

LISTED = 5  # suspects in a ranking, at most

_STATUS_WEIGHT = {"down": 1.0, "critical": 0.8, "degraded": 0.4}
# A service with any other field is "active": the environment adds fields to faulty services.
_ORDINARY_FIELDS = frozenset({
    "http_server_error_rate", "http_server_request_duration_p50", "http_server_request_duration_p95",
    "http_server_request_duration_p99", "http_server_active_requests", "process_cpu_utilization",
    "process_memory_utilization", "status", "recent_logs",
})  # fmt: skip
# Channels that replace the metrics without an observation, and the level that an alert stands for: that of a
# critical service (errors, latency) or an active one (memory).
_READ = (Channel.ERROR, Channel.LATENCY_TAIL, Channel.MEMORY)
_ALERTED_LEVEL = {Channel.ERROR: 0.50, Channel.LATENCY_TAIL: 2.0, Channel.MEMORY: 0.70}


@dataclass(frozen=True)
class _Vitals:
    """The figures of a service in the formula."""

    status: str
    error_rate: float
    latency_p99_s: float
    memory_utilization: float
    active_requests: float = 0.0
    has_unusual_fields: bool = False

    @property
    def is_active(self) -> bool:
        return (
            self.status != "healthy"
            or self.error_rate >= 0.05
            or self.latency_p99_s >= 0.50
            or self.memory_utilization >= 0.70
            or self.active_requests >= 100
            or self.has_unusual_fields
        )

    @property
    def severity(self) -> float:
        return (
            2 * self.error_rate
            + min(self.latency_p99_s, 5.0)
            + self.memory_utilization
            + min(self.active_requests / 500, 1.0)
        )


class HeuristicRanker:
    """Ranks active services by their severity, the number of services that they can affect, and their status.

    It uses the latest observation only. Without observations it uses the latest points of the error, tail
    latency and memory channels, or the alerts, and derives the status by the environment's thresholds.

    Args:
        channel_map: how metric names are read without observations; None for the default rules.
    """

    name = "heuristic"

    def __init__(self, channel_map: ChannelMap | None = None) -> None:
        self._channel_map = channel_map or default_channel_map()

    def rank(self, incident: Incident) -> Ranking:
        """Ranks at most five active services; see `Ranker`."""
        if incident.observations:
            vitals = {name: _vitals_of(seen) for name, seen in incident.observations[-1].services.items()}
        else:
            vitals = _inferred(incident, self._channel_map)
        reach = transitive_caller_counts(list(vitals), incident.call_graph)
        callees = {caller: set(called) - {caller} for caller, called in incident.call_graph.items()}
        n_callers = Counter(callee for called in callees.values() for callee in called)
        scored = [
            Candidate(
                name,
                round(
                    own.severity
                    + 0.90 * n_reaching
                    + 0.25 * n_callers[name]
                    + 0.05 * len(callees.get(name, ()))
                    + _STATUS_WEIGHT.get(own.status, 0.0),
                    3,
                ),
            )
            for (name, own), n_reaching in zip(vitals.items(), reach, strict=True)
            if own.is_active
        ]
        best = sorted(scored, key=lambda candidate: -candidate.score)[:LISTED]
        return Ranking(tuple(best), self.name)


def _vitals_of(service: Service) -> _Vitals:
    return _Vitals(
        status=service.status,
        error_rate=service.error_rate,
        latency_p99_s=service.latency_p99_s,
        memory_utilization=service.memory_utilization,
        active_requests=service.number("http_server_active_requests") or 0.0,
        has_unusual_fields=not _ORDINARY_FIELDS.issuperset(service.metrics),
    )


def _inferred(incident: Incident, channel_map: ChannelMap) -> dict[str, _Vitals]:
    """The figures from channels and alerts; unknown ones are 0, like missing metrics."""
    levels = {name: dict.fromkeys(_READ, 0.0) for name in incident.services}
    for name, metrics in incident.telemetry.items():
        for metric, series in metrics.items():
            channel, level = _latest_level(metric, series, channel_map)
            if channel in _READ and name in levels:
                levels[name][channel] = max(levels[name][channel], level)
    for alert in incident.alerts:
        channel = _alerted_channel(alert, channel_map)
        if channel in _READ and alert.service in levels:
            levels[alert.service][channel] = max(levels[alert.service][channel], _ALERTED_LEVEL[channel])
    return {
        name: _Vitals(
            status=status_of(level[Channel.ERROR], level[Channel.LATENCY_TAIL], level[Channel.MEMORY]),
            error_rate=level[Channel.ERROR],
            latency_p99_s=level[Channel.LATENCY_TAIL],
            memory_utilization=level[Channel.MEMORY],
        )
        for name, level in levels.items()
    }


def _latest_level(metric: str, series: Series, channel_map: ChannelMap) -> tuple[Channel | None, float]:
    """The metric's channel and its latest point in our unit; a "share" outside 0..1 counts as 0."""
    meaning = channel_map(metric)
    points = series.incident[np.isfinite(series.incident)]
    if meaning is None or not points.size:
        return None, 0.0
    level = float(points[-1]) * meaning.scale_of(float(points.max()))
    if meaning.channel in (Channel.ERROR, Channel.MEMORY):
        level = 1.0 - level if meaning.inverted else level
        level = level if 0.0 <= level <= 1.0 else 0.0
    return meaning.channel, level


def _alerted_channel(alert: AlertEvent, channel_map: ChannelMap) -> Channel | None:
    if alert.kind == "trace":  # "PD" is a slow call, anything else the code of a failed one
        return Channel.LATENCY_TAIL if alert.direction == "PD" else Channel.ERROR
    meaning = channel_map(alert.name) if alert.kind == "metric" else None
    if meaning is None or alert.direction == meaning.good_direction:
        return None
    return meaning.channel
