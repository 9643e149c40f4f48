"""Refuses harmful or useless actions, by models and rules alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.situation.decision import Situation
from agent.situation.impact import is_exhausted, users_are_hurt
from agent.situation.service_trends import badness, service_is_measured
from data.actions import LOOKS, is_remedy, takes_target
from data.observation import Action, Observation

MAX_REPEATS = 2
HELPED = 0.02  # fall of badness from which a remedy has visibly helped

Approve = Callable[[Action, Situation], Awaitable[bool]]


@dataclass(frozen=True)
class Guard:
    """Refuses actions that cannot help or could do harm."""

    approve: Approve | None = None  # asks the operator before each remedy; None: no approval is needed
    dry_run: bool = False  # remedies are only recommended
    max_remedies: int = 30  # in one task

    def refusal(self, action: Action, situation: Situation) -> str | None:
        """Why `action` must not be sent now; None if it may."""
        kind, target = action.action_type, action.target_service
        if kind not in situation.menu:
            return f"'{kind}' is not in the menu"
        if action.parameters:
            return f"'{kind}' takes no parameters"
        if takes_target(kind):
            if target is None or target not in situation.now.services:
                return f"'{target}' is not a service of this observation"
        elif target is not None:
            return f"'{kind}' takes no target"
        if kind == "declare_resolved" and situation.ticks_left > 1:
            hurt = users_are_hurt(situation.window) and not (
                is_exhausted(situation) or self._spent(situation)
            )
            return "users are still affected" if hurt else None
        if (
            situation.offered is not None
            and kind in LOOKS
            and any(step.action == action for step in situation.steps)
        ):
            return "this was already looked at and has not changed"
        return self._remedy_refusal(action, situation) if is_remedy(action) else None

    def _remedy_refusal(self, action: Action, situation: Situation) -> str | None:
        now, name = situation.now, str(action.target_service)
        service = now.services[name]
        sent = [step.action for step in situation.steps if is_remedy(step.action)]
        if service.is_healthy and service_is_measured(service):
            how = (
                "error rate below 0.05, p99 below 0.50 s" if situation.offered is None else "as it always is"
            )
            return f"'{name}' is healthy ({how})"
        if service.is_healthy and not _has_other_signs(now, name):
            if service.numbers.keys() & {"http_server_error_rate", "http_server_request_duration_p99"}:
                return f"'{name}' looks healthy, as far as it is measured"
            if action in sent:
                return f"'{action}' was sent before, and nothing is measured that it could have changed"
        if self._spent(situation):
            return f"all {self.max_remedies} remedies of this task are used up"
        if repeats(action, situation) >= MAX_REPEATS and not _helps(action, situation):
            return f"'{action}' would run a third time in a row, and it does not help"
        return None

    def _spent(self, situation: Situation) -> bool:
        return sum(is_remedy(step.action) for step in situation.steps) >= self.max_remedies

    async def withheld(self, action: Action, situation: Situation) -> str | None:
        """Why a permitted remedy is only recommended: a dry run, or the operator declined."""
        if not is_remedy(action):
            return None
        if self.dry_run:
            return "dry run"
        if self.approve is not None and not await self.approve(action, situation):
            return "declined by the operator"
        return None


def repeats(action: Action, situation: Situation) -> int:
    """How many of the latest steps were `action`, in a row."""
    count = 0
    for step in reversed(situation.steps):
        if step.action != action:
            break
        count += 1
    return count


def _has_other_signs(observation: Observation, name: str) -> bool:
    """Whether the service's status or an alert says that it is unhealthy."""
    status = observation.services[name].status
    return status in ("degraded", "critical", "down") or any(
        alert.service_name == name for alert in observation.active_alerts
    )


def _helps(action: Action, situation: Situation) -> bool:
    """Whether the target is visibly better than before `action` was sent, counting repeats in a row."""
    before = situation.window[max(0, len(situation.window) - 1 - repeats(action, situation))]
    name = str(action.target_service)
    service, earlier = situation.now.services[name], before.services.get(name)
    return earlier is not None and badness(service) <= badness(earlier) - HELPED
