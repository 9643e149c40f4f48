"""The main loop: an environment, a ranker and a policy play one task, and every step is recorded."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from agent.situation.decision import Decision, PastStep, Policy, Situation, Usage
from data.actions import RESOLVE, is_remedy
from data.environment import Environment, LiveSystem, TellsTruth
from data.errors import ActionRefused, EnvironmentFault
from data.incident import Incident
from data.observation import Action, Observation, Step, Task
from gnn.ranker import Ranker, Ranking

SOLVED_SCORE = 0.5


@dataclass(frozen=True)
class StepRecord:
    """One action, the decision behind it, and its result."""

    task: Task
    number: int  # from 1
    observation: Observation  # before the action
    ranking: Ranking | None
    decision: Decision
    result: Step | None  # None if the environment gave no answer
    refused: str | None = None  # why the environment rejected the action, without any effect
    fault: str | None = None  # why the environment failed, which ends the task
    ranking_s: float = 0.0
    environment_s: float = 0.0

    @property
    def action(self) -> Action:
        """The action that was sent."""
        return self.decision.action

    @property
    def done(self) -> bool:
        """Whether the environment ended the episode here."""
        return self.result is not None and self.result.done

    @property
    def error(self) -> str | None:
        """The environment's error message of any kind."""
        return self.fault or self.refused or (self.result.error if self.result else None)

    @property
    def feedback(self) -> str:
        """The feedback on the action, for the policy."""
        return self.result.feedback if self.result else self.refused or ""


@dataclass(frozen=True)
class EpisodeResult:
    """The result of one task."""

    task: Task
    steps: tuple[StepRecord, ...] = ()
    error: str | None = None  # why the task ended without a score
    interrupted: bool = False
    seconds: float = 0.0
    # Known only from an environment that tells them, such as the embedded one.
    root_causes: tuple[str, ...] = ()
    fault_types: tuple[str, ...] = ()

    @cached_property
    def score(self) -> float | None:
        """The environment's score, if any."""
        return _score_of(self.steps)

    @property
    def success(self) -> bool:
        """Whether the task counts as solved."""
        return self.score is not None and self.score >= SOLVED_SCORE

    @property
    def wrong_actions(self) -> int:
        """The number of remedies sent to healthy services (by the grader's definition)."""
        return sum(_is_wrong(step) for step in self.steps)

    @property
    def mitigated_at_tick(self) -> int | None:
        """When users were no longer affected, according to the environment."""
        last = next((step.result for step in reversed(self.steps) if step.result), None)
        return last.observation.mttm_achieved_tick if last else None

    @property
    def decisions(self) -> dict[str, int]:
        """The number of steps decided by each source."""
        return dict(Counter(step.decision.source for step in self.steps))

    @property
    def usage(self) -> Usage:
        """The model usage of all steps."""
        return sum((step.decision.usage for step in self.steps), Usage())

    @property
    def ranked_first_at_step(self) -> int | None:
        """The first step at which the ranker put a root cause first; None if never or unknown."""
        ranked = (s for s in self.steps if s.ranking and s.ranking.candidates)
        return next(
            (s.number for s in ranked if s.ranking and s.ranking.services[0] in self.root_causes), None
        )

    @property
    def remedied_at_step(self) -> int | None:
        """The first step with a remedy for a root cause; None if never or unknown."""
        remedies = (s for s in self.steps if is_remedy(s.action))
        return next((s.number for s in remedies if s.action.target_service in self.root_causes), None)


async def play_task(
    environment: Environment,
    ranker: Ranker,
    policy: Policy,
    task: Task,
    deadline_s: float,
    on_step: Callable[[StepRecord], None],
) -> EpisodeResult:
    """Plays `task` to its end.

    If the environment fails or the deadline passes, the task ends with the reason in `error`. Cancelling the
    caller cancels the episode; `on_step` has then been called for every completed step.
    """
    started = time.monotonic()
    steps: list[StepRecord] = []
    error = None
    deadline = asyncio.timeout(deadline_s)
    try:
        async with deadline:
            async for step in _steps(environment, ranker, policy, task):
                steps.append(step)
                on_step(step)
                error = step.fault
    except EnvironmentFault as fault:
        error = str(fault)
    except TimeoutError:
        if not deadline.expired():
            raise
        error = f"the task took longer than its {deadline_s:g} s"
    if error is None and not (steps and steps[-1].done):
        error = "the environment did not end the episode when it was declared resolved"
    if error is None and _score_of(steps) is None and not isinstance(environment, LiveSystem):
        error = "the episode ended without a grade"
        if steps[-1].error is not None:
            error += f": {steps[-1].error}"
    truth = environment if steps and isinstance(environment, TellsTruth) else None
    return EpisodeResult(
        task,
        tuple(steps),
        error,
        seconds=time.monotonic() - started,
        root_causes=truth.root_causes() if truth else (),
        fault_types=truth.fault_types() if truth else (),
    )


async def _steps(
    environment: Environment, ranker: Ranker, policy: Policy, task: Task
) -> AsyncIterator[StepRecord]:
    """Resets, then acts until the environment is done or fails, or the task's steps are used up."""
    window = [(await environment.reset(task)).observation]
    past: list[PastStep] = []
    logs: dict[str, tuple[str, ...]] = {}
    live = environment if isinstance(environment, LiveSystem) else None
    for number in range(1, task.max_ticks + 1):
        now = window[-1]
        logs.update({name: s.recent_logs for name, s in now.services.items() if s.recent_logs})
        asked = time.monotonic()
        ranking = ranker.rank(Incident.from_observations(window))
        ranking_s = time.monotonic() - asked
        # The environment's clock may be one tick ahead of our steps, but no more.
        ticks_left = max(1, task.max_ticks - min(max(number - 1, now.sim_tick), number))
        offered = live.offered if live else None
        situation = Situation(tuple(window), ranking, tuple(past), ticks_left, dict(logs), offered)
        decision = await policy.decide(situation)
        step = await _act(environment, task, number, now, ranking, decision, ranking_s)
        yield step
        if step.done or step.fault:
            return
        past.append(PastStep(step.action, step.feedback))
        if step.result:
            window.append(step.result.observation)
    closing = Decision(RESOLVE, "rules", reason="the task's steps are used up")
    yield await _act(environment, task, task.max_ticks + 1, window[-1], None, closing, 0.0)


async def _act(
    environment: Environment,
    task: Task,
    number: int,
    observation: Observation,
    ranking: Ranking | None,
    decision: Decision,
    ranking_s: float,
) -> StepRecord:
    """Sends the decision's action; failures become part of the record."""
    # Embedded episodes never wait, so give other tasks, signals and deadlines a turn.
    await asyncio.sleep(0)
    sent = time.monotonic()
    result, refused, fault = None, None, None
    try:
        result = await environment.step(decision.action)
    except ActionRefused as error:
        refused = str(error)
    except EnvironmentFault as error:
        fault = str(error)
    took_s = time.monotonic() - sent
    return StepRecord(task, number, observation, ranking, decision, result, refused, fault, ranking_s, took_s)


def _score_of(steps: Sequence[StepRecord]) -> float | None:
    last = steps[-1].result if steps else None
    return last.outcome.score if last and last.done else None


def _is_wrong(step: StepRecord) -> bool:
    target = step.observation.services.get(step.action.target_service or "")
    return step.result is not None and is_remedy(step.action) and target is not None and target.is_healthy
