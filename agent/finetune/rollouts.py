"""What a reply comes to: the project's own loop plays the task with it, and the outcome is the reward."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent.finetune.examples import decided
from agent.llm.prompt_budget import PromptBudget
from agent.llm.reply import WAIT, UnusableReply, parse_reply
from agent.play.episode import EpisodeResult, play_task
from agent.policies.guard import Guard
from agent.policies.rules import RulesPolicy
from agent.situation.decision import Decision, Message, Situation
from data.actions import is_remedy
from data.observation import Task
from data.simulator.world.environment import EmbeddedEnvironment
from gnn.ranker import Ranker
from gnn.registry import make_ranker

_DEADLINE_S = 60.0


@dataclass(frozen=True)
class RewardWeights:
    """What counts in a reward. The grade is the point; the rest keeps a model from what a grade forgives."""

    score: float = 1.0
    wrong_remedy: float = -0.2  # a remedy of a healthy service, by the reply itself
    unusable: float = -0.5  # no action, one that is not on the menu, or one that the guard refuses
    step: float = -0.005  # each of the episode: a look that tells nothing is not free
    long_character: float = -0.001  # of the reply, beyond what an action and its reason take
    free_characters: int = 200


@dataclass(frozen=True)
class Branch:
    """A point in a task that the rules play: what is asked there, and where it is."""

    task: Task
    step: int  # decisions before it
    prompt: tuple[Message, ...]
    hinted: bool  # whether the rules, too, know the ranking


@dataclass(frozen=True)
class Rollout:
    """An episode with one decision by a model."""

    result: EpisodeResult
    usable: bool
    wrong_remedy: bool
    characters: int


def branches(
    tasks: Sequence[Task], ranker: Ranker, budget: PromptBudget, hinted_share: float, seed: int
) -> Iterator[Branch]:
    """Every decision of the tasks as the rules play them; nothing of how they end is in a prompt."""
    for taught in decided(tasks, "rules", ranker, budget, hinted_share, seed):
        for step, (prompt, _) in enumerate(taught.decisions):
            yield Branch(taught.task, step, prompt, taught.hinted)


async def rollout(task: Task, step: int, reply: str, ranker: Ranker) -> Rollout:
    """Plays `task`: the rules decide, but for one step, at which `reply` does."""
    policy = _OneReply(step, reply)
    result = await play_task(EmbeddedEnvironment(), ranker, policy, task, _DEADLINE_S, lambda _: None)
    return Rollout(result, policy.usable, policy.wrong_remedy, len(reply))


def rollout_by_worker(task: Task, step: int, reply: str, ranker: tuple[str, Path | None, int]) -> Rollout:
    """As `rollout`, with a ranker that each worker makes once: its name, checkpoint and seed."""
    return asyncio.run(rollout(task, step, reply, _ranker(*ranker)))


_ranker = cache(make_ranker)


def reward_of(rollout: Rollout, weights: RewardWeights) -> float:
    """One number, of the outcome alone."""
    return (
        weights.score * (rollout.result.score or 0.0)
        + weights.wrong_remedy * rollout.wrong_remedy
        + weights.unusable * (not rollout.usable)
        + weights.step * len(rollout.result.steps)
        + weights.long_character * max(0, rollout.characters - weights.free_characters)
    )


class _OneReply:
    """The rules, with one decision taken from a reply."""

    name = "rules"

    def __init__(self, step: int, reply: str) -> None:
        self._step = step
        self._reply = reply
        self._guard = Guard()
        self._rules = RulesPolicy(self._guard)
        self.usable = False
        self.wrong_remedy = False

    async def decide(self, situation: Situation) -> Decision:
        """The reply's action at its step, if it can be used, else the rules'."""
        if len(situation.steps) == self._step:
            try:
                action = parse_reply(self._reply, situation).action
            except UnusableReply:
                return await self._rules.decide(situation)
            if action.action_type == WAIT:
                action = self._rules.idle_action(situation)
            if self._guard.refusal(action, situation) is None:
                self.usable = True
                target = situation.now.services.get(action.target_service or "")
                self.wrong_remedy = is_remedy(action) and target is not None and target.is_healthy
                return Decision(action, "llm")
        return await self._rules.decide(situation)
