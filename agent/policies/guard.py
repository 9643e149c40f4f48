"""What no decision may do, whoever made it: one list of refusals for models and rules alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.policies.decision import Situation
from agent.policies.service_trends import (
    NO_HARM,
    RECENT,
    STEADY_ERRORS,
    STEADY_LATENCY_S,
    Trend,
    badness,
    harm_per_tick,
    is_measured,
    trend_of,
    trends,
)
from data.actions import REMEDIES, is_remedy, menu, takes_target
from data.observation import Action, Observation

USERS_HURT_ERROR_RATE = 0.10
PLAIN_ERROR_RATE = 0.50  # of a service that users reach: too much to be usual, whatever is said of them
MAX_REPEATS = 2
HELPED = 0.02  # by so much less bad a service is that a remedy visibly helped

Approve = Callable[[Action, Situation], Awaitable[bool]]


@dataclass(frozen=True)
class GuardSettings:
    """How much the guard allows."""

    # Remedies in one task, all together.
    max_remedies: int = 30
    # Never send a remedy, only name it.
    dry_run: bool = False


@dataclass(frozen=True)
class Guard:
    """Refuses actions that cannot help or could do harm."""

    settings: GuardSettings = GuardSettings()
    # Asks a person before each remedy; None asks nobody.
    approve: Approve | None = None

    def refusal(self, action: Action, situation: Situation) -> str | None:
        """Why `action` must not be sent now; None when it may."""
        kind, target = action.action_type, action.target_service
        if kind not in menu(situation.logs_fetched):
            return f"'{kind}' is not in the menu"
        if action.parameters:
            return f"'{kind}' takes no parameters"
        if takes_target(kind):
            if target is None or target not in situation.now.services:
                return f"'{target}' is not a service of this observation"
        elif target is not None:
            return f"'{kind}' takes no target"
        if kind == "declare_resolved" and situation.ticks_left > 1:
            hurt = users_are_hurt(situation) and not (is_exhausted(situation) or self._spent(situation))
            return "users are still affected" if hurt else None
        return self._remedy_refusal(action, situation) if is_remedy(action) else None

    def _remedy_refusal(self, action: Action, situation: Situation) -> str | None:
        now, name = situation.now, str(action.target_service)
        service = now.services[name]
        sent = [step.action for step in situation.steps if is_remedy(step.action)]
        if service.is_healthy and is_measured(service):
            return f"'{name}' is healthy (error rate below 0.05, p99 below 0.50 s)"
        if service.is_healthy and not _has_other_signs(now, name):
            if service.numbers.keys() & {"http_server_error_rate", "http_server_request_duration_p99"}:
                return f"'{name}' looks healthy, as far as it is measured"
            if action in sent:
                return f"'{action}' was sent before, and nothing is measured that it could have changed"
        if self._spent(situation):
            return f"all {self.settings.max_remedies} remedies of this task are spent"
        if repeats(action, situation) >= MAX_REPEATS and not _helps(action, situation):
            return f"'{action}' would run a third time in a row, and it does not help"
        return None

    def _spent(self, situation: Situation) -> bool:
        return sum(is_remedy(step.action) for step in situation.steps) >= self.settings.max_remedies

    async def withheld(self, action: Action, situation: Situation) -> str | None:
        """Why a permitted remedy is still only recommended: a dry run, or a person who said no."""
        if not is_remedy(action):
            return None
        if self.settings.dry_run:
            return "dry run"
        if self.approve is not None and not await self.approve(action, situation):
            return "declined by the operator"
        return None


def user_facing(observation: Observation) -> frozenset[str]:
    """The services whose failures users feel: those that no other service is known to call."""
    graph = observation.call_graph
    called = {callee for caller, callees in graph.items() for callee in callees if callee != caller}
    return frozenset(observation.services.keys() - called)


def users_are_hurt(situation: Situation) -> bool:
    """Whether anything in the observation says that users suffer; what is unknown does not deny it."""
    now = situation.now
    told = now.user_impact_active if "user_impact_active" in now.model_fields_set else None
    if told or any(alert.severity == "page" for alert in now.active_alerts):
        return True
    if not harm_per_tick(situation.window)[-1] <= NO_HARM:  # NaN is no comfort
        return True
    facing = [trend_of(name, situation.window) for name in user_facing(now)]
    if told is None and any(t.now.number("http_server_error_rate") is None for t in facing):
        return True
    return any(
        t.now.error_rate >= USERS_HURT_ERROR_RATE and not _is_usual(t, denied=told is False) for t in facing
    )


def _is_usual(trend: Trend, denied: bool) -> bool:
    """Whether the service has long failed like this: a little, or while nobody is said to be hurt."""
    if trend.observations < RECENT:
        return False
    held = trend.now.error_rate < PLAIN_ERROR_RATE and trend.recent_error_spread <= USERS_HURT_ERROR_RATE
    return trend.is_background or (denied and held)


def is_exhausted(situation: Situation) -> bool:
    """Whether as many different remedies as there are have been sent, and no service has moved of late."""
    sent = {str(step.action) for step in situation.steps if is_remedy(step.action)}
    return len(sent) >= len(REMEDIES) and nothing_moves(situation)


def nothing_moves(situation: Situation) -> bool:
    """Whether every service has been as it is for some observations."""
    return len(situation.window) >= RECENT and all(map(_is_flat, trends(situation.window).values()))


def repeats(action: Action, situation: Situation) -> int:
    """How often `action` was the latest step, without a break."""
    count = 0
    for step in reversed(situation.steps):
        if step.action != action:
            break
        count += 1
    return count


def _is_flat(trend: Trend) -> bool:
    return trend.recent_error_spread <= STEADY_ERRORS and trend.recent_latency_spread_s <= STEADY_LATENCY_S


def _has_other_signs(observation: Observation, name: str) -> bool:
    """Whether the service's status, or an alert, says that it is not well."""
    status = observation.services[name].status
    return status in ("degraded", "critical", "down") or any(
        alert.service_name == name for alert in observation.active_alerts
    )


def _helps(action: Action, situation: Situation) -> bool:
    """Whether its target is visibly better than before the latest times that `action` was sent."""
    before = situation.window[max(0, len(situation.window) - 1 - repeats(action, situation))]
    name = str(action.target_service)
    service, earlier = situation.now.services[name], before.services.get(name)
    return earlier is not None and badness(service) <= badness(earlier) - HELPED
