"""Makes examples for fine-tuning: a teacher's decisions as replies to the prompts that it would have read."""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.llm.prompt import build_prompt
from agent.llm.prompt_budget import PromptBudget
from agent.play.episode import play_task
from agent.policies.rules import RulesPolicy, proposals
from agent.records.export import solved_steps
from agent.situation.decision import Decision, Message, Policy, Situation
from data.actions import RESOLVE
from data.observation import Action, Task
from data.simulator.world.environment import EmbeddedEnvironment
from gnn.ranker import Ranker

Teacher = Literal["rules", "expert"]
_DEADLINE_S = 60.0


@dataclass(frozen=True)
class TaughtReply:
    """One prompt with the reply that a good decider gives."""

    task: str
    prompt: tuple[Message, ...]
    reply: str


def reply_of(action: Action, reason: str) -> str:
    """An action as a model writes it."""
    return json.dumps(
        {"action_type": action.action_type, "target_service": action.target_service, "reason": reason}
    )


def taught_examples(
    tasks: Sequence[Task],
    teacher: Teacher,
    ranker: Ranker,
    budget: PromptBudget,
    hinted_share: float,
    min_score: float,
    seed: int,
) -> Iterator[TaughtReply]:
    """The decisions of a teacher who plays embedded tasks, of those that ended well.

    Args:
        tasks: what is played.
        teacher: "rules", or "expert", who knows the root cause. Its prompts tell no more than others do.
        ranker: whose suspects are shown.
        budget: for the prompts.
        hinted_share: of the prompts that show the suspects and what the rules would do.
        min_score: of the tasks to learn from.
        seed: decides which prompts are hinted.
    """
    for task, notes, score in decided(tasks, teacher, ranker, budget, hinted_share, seed):
        if score is not None and score >= min_score:
            for prompt, decision in notes.taken:
                yield TaughtReply(task.name, prompt, reply_of(decision.action, decision.reason))


def decided(
    tasks: Sequence[Task],
    teacher: Teacher,
    ranker: Ranker,
    budget: PromptBudget,
    hinted_share: float,
    seed: int,
) -> Iterator[tuple[Task, "Notes", float | None]]:
    """Each task with what a teacher decided in it, and the grade; as `taught_examples`."""
    chance = random.Random(seed)
    for task in tasks:
        environment = EmbeddedEnvironment()
        policy: Policy = _Expert(environment) if teacher == "expert" else RulesPolicy()
        notes = Notes(policy, budget, hinted_share, chance)
        result = asyncio.run(play_task(environment, ranker, notes, task, _DEADLINE_S, lambda _: None))
        yield task, notes, result.score


def recorded_examples(runs: Sequence[Path], min_score: float) -> Iterator[TaughtReply]:
    """A model's own steps of tasks that it solved well, as its runs recorded them."""
    for run in runs:
        for step in solved_steps(run, min_score):
            yield TaughtReply(f"{step.task}/{step.seed}", step.prompt, step.reply or "")


class Notes:
    """Lets a policy decide and writes down what a model would have been asked."""

    name = "notes"

    def __init__(
        self, policy: Policy, budget: PromptBudget, hinted_share: float, chance: random.Random
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._hinted_share = hinted_share
        self._chance = chance
        self.taken: list[tuple[tuple[Message, ...], Decision]] = []

    async def decide(self, situation: Situation) -> Decision:
        """The policy's decision."""
        hints = self._chance.random() < self._hinted_share
        prompt = build_prompt(situation, hints, proposals(situation) if hints else (), self._budget)
        decision = await self._policy.decide(situation)
        self.taken.append((prompt, decision))
        return decision


class _Expert:
    """The decider that looks behind the scenes."""

    name = "expert"

    def __init__(self, environment: EmbeddedEnvironment) -> None:
        self._environment = environment

    async def decide(self, situation: Situation) -> Decision:
        """The cure of a fault that is still there."""
        action = self._environment.best_action()
        reason = "every fault is cured" if action == RESOLVE else "it is at fault"
        return Decision(action, "rules", reason=reason)
