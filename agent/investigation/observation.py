"""Turns an incident into an observation: each service's current figures, healthy if they are as usual."""

from collections.abc import Collection, Mapping

import numpy as np

from data.channels import Channel, ChannelMap
from data.incident import Incident, Series
from data.observation import Alert, Observation, Service

_SHARES = {
    Channel.ERROR: "http_server_error_rate",
    Channel.MEMORY: "process_memory_utilization",
}
_SECONDS = {
    Channel.LATENCY_TAIL: "http_server_request_duration_p99",
    Channel.DEPLOY_AGE: "last_deployment_age_seconds",
    Channel.CONFIG_AGE: "last_config_age_seconds",
}
_MOST_ALERTS = 100


class LiveService(Service):
    """A service that is healthy if it is as usual, because no limit fits all systems."""

    @property
    def is_healthy(self) -> bool:
        """Whether nothing about it is worse than usual."""
        return self.status != "degraded"


def observed(
    incident: Incident,
    channels: ChannelMap,
    troubled: Collection[str],
    logs: Mapping[str, tuple[str, ...]],
    looks: int,
) -> Observation:
    """What is known about the incident.

    Args:
        troubled: services that are worse than usual.
        logs: lines read so far, by service.
    """
    called = {
        callee for caller, callees in incident.call_graph.items() for callee in callees if callee != caller
    }
    page = incident.page.service if incident.page else None
    alerts = dict.fromkeys((alert.service, alert.name) for alert in incident.alerts)
    return Observation(
        services={
            name: _service(incident.telemetry.get(name, {}), channels, name in troubled, logs.get(name, ()))
            for name in incident.services
        },
        active_alerts=tuple(
            Alert(alertname=name, service_name=service, severity="page" if service == page else "warning")
            for service, name in list(alerts)[:_MOST_ALERTS]
        ),
        call_graph={caller: tuple(callees) for caller, callees in incident.call_graph.items()},
        sim_tick=looks,
        user_impact_active=page is not None or any(name not in called for name in troubled),
    )


def latest(series: Series) -> float | None:
    """The last value in the incident, or None."""
    known = series.incident[np.isfinite(series.incident)]
    return float(known[-1]) if len(known) else None


def _service(
    metrics: Mapping[str, Series], channels: ChannelMap, is_troubled: bool, logs: tuple[str, ...]
) -> Service:
    figures: dict[str, float] = {}
    for name, series in metrics.items():
        meaning, value = channels(name), latest(series)
        if meaning is None or value is None:
            continue
        scaled = value * meaning.scale_of(float(np.nanmax(series.incident)))
        if (share := _SHARES.get(meaning.channel)) and 0.0 <= scaled <= 1.0:
            figures.setdefault(share, 1.0 - scaled if meaning.inverted else scaled)
        elif seconds := _SECONDS.get(meaning.channel):
            figures.setdefault(seconds, scaled)
        elif meaning.channel is Channel.LATENCY_MID:
            figures.setdefault("_typical", scaled)
    typical = figures.pop("_typical", None)
    if typical is not None:
        figures.setdefault("http_server_request_duration_p99", typical)
    status = "degraded" if is_troubled else "healthy" if metrics else "unknown"
    return LiveService.model_validate(
        {"status": status, **figures, **({"recent_logs": logs} if logs else {})}
    )
