"""What the telemetry itself says about a service: how bad, getting better or worse, and why."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from data.observation import Observation, Service

# A degradation counts as background while it stays below this and does not move.
BACKGROUND_ERROR_RATE = 0.15
BACKGROUND_P99_S = 0.50
STEADY_SPREAD = 0.02
RECENT = 5  # observations
# A change this young may have caused what is seen.
FRESH_CHANGE_S = 900.0
MEMORY_PRESSURE = 0.80


@dataclass(frozen=True)
class Trend:
    """One service from the first observation of the episode to now."""

    name: str
    now: Service
    first: Service
    before: Service  # one observation ago; the same as `now` at the start
    error_spread: float  # largest minus smallest error rate so far
    latency_spread_s: float
    recent_error_spread: float  # the same over the last few observations
    recent_latency_spread_s: float
    observations: int

    @property
    def badness(self) -> float:
        """One figure for how much the service hurts, from errors and slowness."""
        return badness(self.now)

    @property
    def change(self) -> float:
        """By how much `badness` rose in the last tick; negative while it recovers."""
        return badness(self.now) - badness(self.before)

    @property
    def is_background(self) -> bool:
        """Whether the service is a little off and stays so: nothing that an incident explains."""
        if self.observations < 2:
            return False
        mild = self.now.error_rate < BACKGROUND_ERROR_RATE and self.now.latency_p99_s < BACKGROUND_P99_S
        always = self.error_spread <= STEADY_SPREAD and self.latency_spread_s <= 0.1
        lately = self.recent_error_spread <= STEADY_SPREAD / 2 and self.recent_latency_spread_s <= 0.05
        return mild and (always or (self.observations >= RECENT and lately))

    @property
    def memory_per_tick(self) -> float:
        """How fast memory utilisation grew in the last tick."""
        return self.now.memory_utilization - self.before.memory_utilization

    def age_s(self, field: str) -> float:
        """Seconds since the last change of that kind; infinite when the service does not tell."""
        value = self.now.number(field)
        return math.inf if value is None or value < 0 else value


def badness(service: Service) -> float:
    """See `Trend.badness`; latency counts as much as errors at ten seconds."""
    slow = max(0.0, service.latency_p99_s - 0.2)
    return service.error_rate + min(1.0, slow / 10)


def trends(history: Sequence[Observation]) -> dict[str, Trend]:
    """The trend of every service of the latest observation."""
    found = {}
    for name, now in history[-1].services.items():
        seen = [o.services[name] for o in history if name in o.services]
        errors = [s.error_rate for s in seen]
        latencies = [s.latency_p99_s for s in seen]
        found[name] = Trend(
            name,
            now,
            seen[0],
            seen[-2] if len(seen) > 1 else now,
            max(errors) - min(errors),
            max(latencies) - min(latencies),
            max(errors[-RECENT:]) - min(errors[-RECENT:]),
            max(latencies[-RECENT:]) - min(latencies[-RECENT:]),
            len(seen),
        )
    return found


def callees_of(name: str, call_graph: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Every service that `name` reaches through calls, itself left out."""
    reached: set[str] = set()
    todo: list[str] = list(call_graph.get(name, ()))
    while todo:
        callee = todo.pop()
        if callee not in reached:
            reached.add(callee)
            todo.extend(call_graph.get(callee, ()))
    return frozenset(reached - {name})


# Words of a service's own logs, each with the remedy that undoes what they speak of.
_LOG_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "scale_replicas",
        ("oomkilled", "outofmemory", "exit code 137", "heap memory", "memory leak"),
    ),
    ("rollback_deploy", ("nullpointerexception", "rollback recommended", "rolling out", "since deploy")),
    (
        "revert_config",
        ("connection pool at capacity", "config revision", "configuration reverted"),
    ),
    ("restart_service", ("connection refused", "unreachable", "no route to host", "partition", "deadlock")),
)
_NOTHING_KNOWN = {
    "restart_service": 1.0,
    "scale_replicas": 0.8,
    "revert_config": 0.7,
    "rollback_deploy": 0.6,
    "traffic_shift": 0.3,
    "circuit_break": 0.25,
    "rebalance_load": 0.2,
    "extend_timeout": 0.1,
}


def remedy_weights(trend: Trend, logs: Iterable[str]) -> dict[str, float]:
    """How well each remedy fits what the service shows, all remedies of the menu, more is better."""
    weights = dict(_NOTHING_KNOWN)
    deploy_s, config_s = trend.age_s("last_deployment_age_seconds"), trend.age_s("last_config_age_seconds")
    weights["rollback_deploy"] += _freshness(deploy_s)
    weights["revert_config"] += _freshness(config_s)
    weights["scale_replicas"] += _memory_pressure(trend)
    text = "\n".join(logs).lower()
    for remedy, words in _LOG_WORDS:
        if any(word in text for word in words):
            weights[remedy] += 0.8
    return weights


def _freshness(age_s: float) -> float:
    """How much a change of this age is to be suspected: 3 at once, 0 beyond `FRESH_CHANGE_S`."""
    return 3.0 * max(0.0, 1.0 - age_s / FRESH_CHANGE_S) if age_s <= FRESH_CHANGE_S else 0.0


def _memory_pressure(trend: Trend) -> float:
    """How much the service looks short of memory."""
    utilization = trend.now.memory_utilization
    restarts = (trend.now.number("restart_count") or 0.0) > 0
    if trend.memory_per_tick >= 0.02:
        return 3.0
    if utilization >= MEMORY_PRESSURE:
        return 2.5 if restarts else 1.2
    slow_without_errors = trend.now.latency_p99_s >= 0.5 and trend.now.error_rate < 0.10
    return 1.0 if slow_without_errors else 0.0
