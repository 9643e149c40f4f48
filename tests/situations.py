"""Small hand-made situations for the tests of decisions."""

from collections.abc import Mapping
from typing import Any

from agent.situation.decision import PastStep, Situation
from data.observation import Alert, Observation, Service, parse
from gnn.ranker import Candidate, Ranking

HEALTHY = {
    "status": "healthy",
    "http_server_error_rate": 0.01,
    "http_server_request_duration_p99": 0.1,
    "process_memory_utilization": 0.3,
    "last_deployment_age_seconds": 200_000,
    "last_config_age_seconds": 200_000,
    "restart_count": 0,
}
_SHORT = {
    "error_rate": "http_server_error_rate",
    "p99": "http_server_request_duration_p99",
    "memory": "process_memory_utilization",
    "deployed": "last_deployment_age_seconds",
    "configured": "last_config_age_seconds",
    "restarts": "restart_count",
    "logs": "recent_logs",
}


def service(**changes: Any) -> Service:
    """A healthy service with `changes`, given under short or wire names."""
    fields = {**HEALTHY, **{_SHORT.get(name, name): value for name, value in changes.items()}}
    return parse(Service, fields, "test")


def observation(
    tick: int = 1,
    calls: Mapping[str, tuple[str, ...]] | None = None,
    alerts: tuple[Alert, ...] = (),
    **services: Service,
) -> Observation:
    """An observation of `services`, by name; `_` in a name stands for `-`."""
    return Observation(
        services={name.replace("_", "-"): given for name, given in services.items()},
        call_graph=dict(calls or {}),
        active_alerts=alerts,
        sim_tick=tick,
    )


def situation(
    *window: Observation,
    ranked: tuple[str, ...] = (),
    steps: tuple[PastStep, ...] = (),
    ticks_left: int = 15,
    calls: Mapping[str, tuple[str, ...]] | None = None,
) -> Situation:
    """What a policy sees after `window`; `ranked` adds a ranking of these services."""
    if calls is not None:
        window = tuple(o.model_copy(update={"call_graph": dict(calls)}) for o in window)
    ranking = Ranking(tuple(Candidate(name, 1.0) for name in ranked), "test") if ranked else None
    return Situation(window, ranking, steps, ticks_left)
