"""All policies by name: the model with the rules as fallback, the rules, the original rules, an explorer."""

import random
from typing import TYPE_CHECKING

from agent.policies.guard import Guard
from agent.policies.legacy_rules import LegacyRulesPolicy
from agent.policies.rules import RulesPolicy
from agent.situation.decision import Decision, Policy, Situation
from data.actions import INVESTIGATIONS, REMEDIES
from data.errors import SettingsError
from data.observation import Action

if TYPE_CHECKING:
    from agent.llm.client import Model


class ExplorePolicy:
    """The rules with random actions mixed in, to collect varied episodes."""

    name = "explore"

    def __init__(self, seed: int, guard: Guard | None = None, random_share: float = 0.4) -> None:
        self._random = random.Random(seed)
        self._random_share = random_share
        self._guard = guard or Guard()
        self._rules = RulesPolicy(self._guard)

    async def decide(self, situation: Situation) -> Decision:
        """The rules' action, or sometimes a random permitted one, but never a random end of the episode."""
        return self.instead_of(await self._rules.decide(situation), situation)

    def instead_of(self, ruled: Decision, situation: Situation) -> Decision:
        """The same about anyone's decision."""
        if self._random.random() >= self._random_share:
            return ruled
        services = sorted(situation.now.services)
        if not services:
            return ruled
        kinds = INVESTIGATIONS + tuple(REMEDIES)
        action = Action(action_type=self._random.choice(kinds), target_service=self._random.choice(services))
        if self._guard.refusal(action, situation) is not None:
            return ruled
        return Decision(action, "rules", reason="exploring")


def make_policy(
    name: str,
    *,
    model: "Model | None" = None,
    seed: int = 0,
    guard: Guard | None = None,
    hints: bool = True,
    prompt_budget: int | None = None,
) -> Policy:
    """Builds the policy for one task.

    Args:
        name: "auto", "llm", "rules", "legacy-rules" or "explore"; "auto" is "llm" with a model, else "rules".
        seed: the task's seed, for the model and the explorer.

    Raises:
        SettingsError: an unknown name, or "llm" without a model.
    """
    if name == "rules" or (name == "auto" and model is None):
        return RulesPolicy(guard)
    if name == "legacy-rules":
        return LegacyRulesPolicy()
    if name == "explore":
        return ExplorePolicy(seed, guard)
    if name in ("llm", "auto"):
        if model is None:
            raise SettingsError(
                "policy 'llm' needs a model: set HF_TOKEN or OPENAI_API_KEY, or API_BASE_URL, or use --model"
            )
        from agent.policies.llm_policy import LlmPolicy

        return LlmPolicy(model, seed, guard, hints, prompt_budget)
    raise SettingsError(f"policy '{name}' is unknown: choose auto, llm, rules, legacy-rules or explore")
