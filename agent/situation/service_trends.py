"""How bad each service is, by its telemetry, and whether it gets better or worse."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from data.observation import Observation, Service

# A degradation below these that doesn't change is background noise.
BACKGROUND_ERROR_RATE = 0.15
BACKGROUND_P99_S = 0.50
STEADY_ERRORS, STEADY_LATENCY_S = 0.02, 0.1  # maximum minus minimum
NO_HARM = 1e-3  # bad customer minutes per tick
RECENT = 5  # observations


@dataclass(frozen=True)
class Trend:
    """One service from the first observation of the episode to now."""

    name: str
    now: Service
    before: Service  # one observation ago; the same as `now` at the start
    error_spread: float  # maximum minus minimum error rate so far
    latency_spread_s: float
    recent_error_spread: float  # the same over the last few observations
    recent_latency_spread_s: float
    observations: int

    @property
    def badness(self) -> float:
        """How bad the service is, from errors and latency."""
        return badness(self.now)

    @property
    def is_measured(self) -> bool:
        """Whether both metrics that define health are known."""
        return service_is_measured(self.now)

    @property
    def change(self) -> float:
        """The change of `badness` in the last tick; negative during recovery."""
        return badness(self.now) - badness(self.before)

    @property
    def is_mild(self) -> bool:
        """Whether the service is only slightly degraded."""
        return self.now.error_rate < BACKGROUND_ERROR_RATE and self.now.latency_p99_s < BACKGROUND_P99_S

    @property
    def is_background(self) -> bool:
        """Whether the service is slightly degraded and doesn't change, so that no incident is to blame."""
        if self.observations < 2:
            return False
        always = self.error_spread <= STEADY_ERRORS and self.latency_spread_s <= STEADY_LATENCY_S
        return self.is_mild and (always or self.is_unmoved)

    @property
    def is_unmoved(self) -> bool:
        """Whether nothing changed over the last few observations."""
        return (
            self.observations >= RECENT
            and self.recent_error_spread <= STEADY_ERRORS / 2
            and self.recent_latency_spread_s <= STEADY_LATENCY_S / 2
        )

    @property
    def memory_per_tick(self) -> float:
        """The growth of memory utilisation in the last tick."""
        return self.now.memory_utilization - self.before.memory_utilization

    def age_s(self, field: str) -> float:
        """Seconds since the last change of that kind; infinite if unknown."""
        value = self.now.number(field)
        return math.inf if value is None or value < 0 else value


def service_is_measured(service: Service) -> bool:
    """See `Trend.is_measured`."""
    figures = ("http_server_error_rate", "http_server_request_duration_p99")
    return all(service.number(figure) is not None for figure in figures)


def badness(service: Service) -> float:
    """See `Trend.badness`; ten seconds of latency are as bad as an error rate of 1."""
    slow = max(0.0, service.latency_p99_s - 0.2)
    return service.error_rate + min(1.0, slow / 10)


def trends(history: Sequence[Observation]) -> dict[str, Trend]:
    """The trends of all services of the latest observation."""
    return {name: trend_of(name, history) for name in history[-1].services}


def trend_of(name: str, history: Sequence[Observation]) -> Trend:
    """The trend of one service of the latest observation."""
    seen = [o.services[name] for o in history if name in o.services]
    errors = [s.error_rate for s in seen]
    latencies = [s.latency_p99_s for s in seen]
    return Trend(
        name,
        seen[-1],
        seen[-2] if len(seen) > 1 else seen[-1],
        _spread(errors),
        _spread(latencies),
        _spread(errors[-RECENT:]),
        _spread(latencies[-RECENT:]),
        len(seen),
    )


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def callees_of(name: str, call_graph: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """All direct and indirect callees of `name`, without itself."""
    reached: set[str] = set()
    todo: list[str] = list(call_graph.get(name, ()))
    while todo:
        callee = todo.pop()
        if callee not in reached:
            reached.add(callee)
            todo.extend(call_graph.get(callee, ()))
    return frozenset(reached - {name})


def harm_per_tick(history: Sequence[Observation]) -> list[float]:
    """The increase of bad customer minutes at each observation."""
    minutes = [0.0, *(o.bad_customer_minutes for o in history)]
    return [now - before for before, now in pairwise(minutes)]


def number_text(value: float, digits: int, signed: bool = False) -> str:
    """A number with this many decimals; huge ones in exponential notation."""
    sign = "+" if signed else ""
    return f"{value:{sign}.{digits}f}" if abs(value) < 1e6 else f"{value:{sign}.1e}"


def health_figures(service: Service) -> list[str]:
    """The two metrics that define health in words, as far as they are known."""
    errors = service.number("http_server_error_rate")
    p99_s = service.number("http_server_request_duration_p99")
    told = (errors is not None and f"{errors:.0%} errors", p99_s is not None and f"p99 {p99_s:.2f} s")
    return [figure for figure in told if figure]
