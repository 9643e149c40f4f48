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
from agent.llm.reply import WAIT
from agent.play.episode import play_task
from agent.policies.registry import ExplorePolicy
from agent.policies.rules import WATCHING, RulesPolicy, proposals
from agent.records.export import solved_steps
from agent.situation.decision import Decision, Message, Policy, Situation
from data.actions import RESOLVE
from data.observation import Action, Task
from data.simulator.world.environment import EmbeddedEnvironment
from gnn.ranker import Ranker
from gnn.registry import make_ranker

Teacher = Literal["rules", "expert"]
_DEADLINE_S = 60.0
_MISTAKES = 0.2  # the share of a teacher's decisions that are replaced


@dataclass(frozen=True)
class TaughtReply:
    """One prompt with the reply that a good decider gives."""

    task: str
    prompt: tuple[Message, ...]
    reply: str


def reply_of(decision: Decision) -> str:
    """A decision as a model writes it: in few words, for each costs time."""
    action, reason = decision.action, decision.reason
    if reason == WATCHING:  # which look passes the time is no choice to learn
        action = Action(action_type=WAIT)
    if action.target_service:
        reason = reason.replace(action.target_service, "it")
    return json.dumps(
        {
            "action_type": action.action_type,
            "target_service": action.target_service,
            "reason": reason.partition(",")[0],
        }
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
    """The decisions of a teacher about embedded tasks, of those that ended well.

    Some of the teacher's decisions are replaced by random ones, so that it also shows how to go on from a
    mistake: Laskey et al., "DART: noise injection for robust imitation learning", CoRL 2017.

    Args:
        tasks: what is played.
        teacher: "rules", or "expert", who knows the root cause. Its prompts tell no more than others do.
        ranker: whose suspects are shown.
        budget: for the prompts.
        hinted_share: of the tasks in whose prompts the suspects are shown and what the rules would do; in the
            others neither the prompts nor the teacher know of a ranking.
        min_score: of the tasks to learn from.
        seed: decides which tasks are hinted, and what is replaced.
    """
    for taught in decided(tasks, teacher, ranker, budget, hinted_share, seed, _MISTAKES):
        if taught.score is not None and taught.score >= min_score:
            for prompt, decision in taught.decisions:
                yield TaughtReply(taught.task.name, prompt, reply_of(decision))


@dataclass(frozen=True)
class TaughtTask:
    """A task with what a teacher decided in it, and the grade."""

    task: Task
    hinted: bool
    decisions: Sequence[tuple[tuple[Message, ...], Decision]]
    score: float | None


def decided(
    tasks: Sequence[Task],
    teacher: Teacher,
    ranker: Ranker,
    budget: PromptBudget,
    hinted_share: float,
    seed: int,
    mistakes: float = 0.0,
) -> Iterator[TaughtTask]:
    """Each task with a teacher's decisions, a share of which is not sent; as `taught_examples`."""
    chance = random.Random(seed)
    for task in tasks:
        environment = EmbeddedEnvironment()
        policy: Policy = _Expert(environment) if teacher == "expert" else RulesPolicy()
        hinted = chance.random() < hinted_share
        shown = ranker if hinted else make_ranker("none")
        notes = Notes(policy, budget, hinted, ExplorePolicy(chance.getrandbits(32), random_share=mistakes))
        result = asyncio.run(play_task(environment, shown, notes, task, _DEADLINE_S, lambda _: None))
        yield TaughtTask(task, hinted, notes.taken, result.score)


def recorded_examples(runs: Sequence[Path], min_score: float) -> Iterator[TaughtReply]:
    """A model's own steps of tasks that it solved well, as its runs recorded them."""
    for run in runs:
        for step in solved_steps(run, min_score):
            yield TaughtReply(f"{step.task}/{step.seed}", step.prompt, step.reply or "")


class Notes:
    """Lets a policy decide, writes down what a model would have been asked, and makes mistakes."""

    name = "notes"

    def __init__(self, policy: Policy, budget: PromptBudget, hinted: bool, mistakes: ExplorePolicy) -> None:
        self._policy = policy
        self._budget = budget
        self._hinted = hinted
        self._mistakes = mistakes
        self.taken: list[tuple[tuple[Message, ...], Decision]] = []

    async def decide(self, situation: Situation) -> Decision:
        """The policy's decision, or now and then a random one, which is not written down."""
        ruled = proposals(situation) if self._hinted else ()
        prompt = build_prompt(situation, self._hinted, ruled, self._budget)
        decision = await self._policy.decide(situation)
        self.taken.append((prompt, decision))
        return self._mistakes.instead_of(decision, situation)


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
