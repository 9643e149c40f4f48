"""Plays many tasks, several at once where the environment has sessions, and tells listeners how it goes."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from agent.play.episode import EpisodeResult, StepRecord, play_task
from agent.situation.decision import Policy
from data.environment import Environment
from data.observation import Task
from gnn.ranker import Ranker


class Listener(Protocol):
    """Hears how a run goes: the evaluator's lines, the run folder, the live table."""

    def task_started(self, task: Task) -> None:
        """`task` begins."""

    def step_played(self, step: StepRecord) -> None:
        """One more step of a task is complete."""

    def task_ended(self, result: EpisodeResult) -> None:
        """A task is over; every task that began ends, interrupted ones included."""


async def play_tasks(
    tasks: Sequence[Task],
    open_environment: Callable[[], Environment],
    ranker: Ranker,
    new_policy: Callable[[Task], Policy],
    listeners: Sequence[Listener],
    concurrency: int,
    deadline_s: float,
) -> tuple[EpisodeResult, ...]:
    """Plays `tasks`, each once, `concurrency` at a time, every player in an environment of its own.

    Whatever ends this call early – cancellation or a defect – every task that did not end is reported as
    interrupted first, so that listeners hear of every task's start and end.
    """
    waiting = deque(tasks)
    results: dict[Task, EpisodeResult] = {}

    async def play_on(environment: Environment) -> None:
        while waiting:
            task = waiting.popleft()
            results[task] = await _play_heard(
                environment, ranker, new_policy(task), task, listeners, deadline_s
            )

    environments = [open_environment() for _ in range(min(concurrency, len(tasks)))]
    players = [asyncio.create_task(play_on(environment)) for environment in environments]
    try:
        await asyncio.gather(*players)
    finally:
        for player in players:
            player.cancel()
        await asyncio.gather(*players, return_exceptions=True)
        for task in waiting:
            for listener in listeners:
                listener.task_started(task)
                listener.task_ended(EpisodeResult(task, interrupted=True))
        for environment in environments:
            await environment.aclose()
    return tuple(results[task] for task in tasks)


async def _play_heard(
    environment: Environment,
    ranker: Ranker,
    policy: Policy,
    task: Task,
    listeners: Sequence[Listener],
    deadline_s: float,
) -> EpisodeResult:
    """Plays one task and reports its start, steps and end, also when it is cut short."""
    steps: list[StepRecord] = []
    result = None

    def heard(step: StepRecord) -> None:
        steps.append(step)
        for listener in listeners:
            listener.step_played(step)

    for listener in listeners:
        listener.task_started(task)
    try:
        result = await play_task(environment, ranker, policy, task, deadline_s, heard)
    finally:
        ended = result or EpisodeResult(task, tuple(steps), interrupted=True)
        for listener in listeners:
            listener.task_ended(ended)
    return ended
