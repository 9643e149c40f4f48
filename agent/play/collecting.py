"""Stores played tasks as labelled episodes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.play.assembly import assemble
from agent.play.config import CollectOptions
from agent.play.episode import EpisodeResult
from agent.play.run import Listener, play_tasks
from agent.settings import Settings
from data.episodes import Episode, Labels
from data.labels import apply_labels
from data.observation import Task


class Collector(Listener):
    """Listens to a run and stores every completed task.

    Args:
        keep: takes each episode.
        known: root causes by task name, from a labels file; they override all other labels.
    """

    def __init__(
        self,
        keep: Callable[[Episode], object],
        source: str,
        policy: str,
        known: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._keep = keep
        self._source = source
        self._policy = policy
        self._known = known

    def task_ended(self, result: EpisodeResult) -> None:
        """Stores the episode."""
        if result.error is None and not result.interrupted:
            self._keep(apply_labels([episode_of(result, self._source, self._policy)], self._known)[0])


def episode_of(result: EpisodeResult, source: str, policy: str) -> Episode:
    """The played task as an episode, without actions that the environment refused."""
    taken = [(step, step.result) for step in result.steps if step.result is not None]
    labels = Labels(root_causes=result.root_causes, origin="environment", fault_types=result.fault_types)
    return Episode(
        task=result.task,
        source=source,
        policy=policy,
        observations=(result.steps[0].observation, *(answer.observation for _, answer in taken)),
        actions=tuple(step.action for step, _ in taken),
        feedback=tuple(answer.feedback for _, answer in taken),
        score=result.score,
        labels=labels if result.root_causes else None,
    )


@dataclass(frozen=True)
class Collection:
    """A collection's share for a worker."""

    config: CollectOptions  # without tasks
    settings: Settings
    source: str  # the environment
    known: Mapping[str, tuple[str, ...]]
    concurrency: int

    def play(self, tasks: Sequence[Task]) -> tuple[list[Episode], dict[str, str]]:
        """Returns the episodes of these tasks, and the errors of failed ones by task name."""
        return asyncio.run(self._play(tasks))

    async def _play(self, tasks: Sequence[Task]) -> tuple[list[Episode], dict[str, str]]:
        episodes: list[Episode] = []
        config = self.config.model_copy(update={"env": self.source})
        parts = await assemble(config, self.settings, self.concurrency)
        collector = Collector(episodes.append, self.source, config.policy, self.known)
        try:
            results = await play_tasks(
                tasks,
                parts.endpoint.open,
                parts.ranker,
                parts.new_policy,
                (collector,),
                self.concurrency,
                config.task_timeout_s,
            )
        finally:
            if parts.model is not None:
                await parts.model.aclose()
        return episodes, {result.task.name: result.error for result in results if result.error is not None}
