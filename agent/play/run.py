"""Plays many tasks, several at once if the environment has sessions, and informs listeners."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from agent.play.episode import EpisodeResult, StepRecord, play_task
from agent.situation.decision import Policy
from data.environment import Environment
from data.observation import Task
from gnn.ranker import Ranker


class Listener:
    """Follows a run: the evaluator's output, the run folder, the live table; by itself it does nothing."""

    def task_started(self, task: Task) -> None:
        """A task starts."""

    def step_played(self, step: StepRecord) -> None:
        """A step is complete."""

    def task_ended(self, result: EpisodeResult) -> None:
        """A task has ended; called for every started task, even if interrupted."""


async def play_tasks(
    tasks: Sequence[Task],
    open_environment: Callable[[], Environment],
    ranker: Ranker,
    new_policy: Callable[[Task], Policy],
    listeners: Sequence[Listener],
    concurrency: int,
    deadline_s: float,
) -> tuple[EpisodeResult, ...]:
    """Plays each of `tasks` once, `concurrency` at a time, each in its own environment.

    If this call ends early, by cancellation or an error, unfinished tasks are reported as interrupted, so
    that listeners learn of every task's start and end.
    """
    waiting = deque(tasks)
    results: dict[Task, EpisodeResult] = {}

    async def play_on(environment: Environment) -> None:
        while waiting:
            task = waiting.popleft()
            results[task] = await _play_reported(
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


async def _play_reported(
    environment: Environment,
    ranker: Ranker,
    policy: Policy,
    task: Task,
    listeners: Sequence[Listener],
    deadline_s: float,
) -> EpisodeResult:
    """Plays one task and reports its start, steps and end, even if interrupted."""
    steps: list[StepRecord] = []
    result = None

    def on_step(step: StepRecord) -> None:
        steps.append(step)
        for listener in listeners:
            listener.step_played(step)

    for listener in listeners:
        listener.task_started(task)
    try:
        result = await play_task(environment, ranker, policy, task, deadline_s, on_step)
    finally:
        ended = result or EpisodeResult(task, tuple(steps), interrupted=True)
        for listener in listeners:
            listener.task_ended(ended)
    return ended
