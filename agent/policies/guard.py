"""What no decision may do, whoever made it: one list of refusals for models and rules alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.situation.decision import Situation
from agent.situation.service_trends import service_is_measured, users_are_hurt
from data.actions import action_space, is_remedy, takes_target
from data.observation import Action

MAX_REPEATS = 2

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
        if kind not in action_space(situation.logs_fetched):
            return f"'{kind}' is not in the menu"
        if takes_target(kind):
            if target is None or target not in situation.now.services:
                return f"'{target}' is not a service of this observation"
        elif target is not None:
            return f"'{kind}' takes no target"
        if kind == "declare_resolved" and situation.ticks_left > 1 and users_are_hurt(situation.window):
            return "users are still affected"
        if takes_target(kind) and _repeats(action, situation) >= MAX_REPEATS:
            return f"'{action}' would run a third time in a row"
        if is_remedy(action):
            return self._remedy_refusal(action, situation)
        return None

    def _remedy_refusal(self, action: Action, situation: Situation) -> str | None:
        service = situation.now.services[str(action.target_service)]
        if service.is_healthy and service_is_measured(service):
            return f"'{action.target_service}' is healthy (error rate below 0.05, p99 below 0.50 s)"
        spent = sum(is_remedy(step.action) for step in situation.steps)
        if spent >= self.settings.max_remedies:
            return f"all {self.settings.max_remedies} remedies of this task are spent"
        return None

    async def withheld(self, action: Action, situation: Situation) -> str | None:
        """Why a permitted remedy is still only recommended: a dry run, or a person who said no."""
        if not is_remedy(action):
            return None
        if self.settings.dry_run:
            return "dry run"
        if self.approve is not None and not await self.approve(action, situation):
            return "declined by the operator"
        return None


def _repeats(action: Action, situation: Situation) -> int:
    """How often `action` was the latest step, without a break."""
    count = 0
    for step in reversed(situation.steps):
        same = (step.action.action_type, step.action.target_service) == (
            action.action_type,
            action.target_service,
        )
        if not same:
            break
        count += 1
    return count
