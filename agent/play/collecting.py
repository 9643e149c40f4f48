"""Turns played tasks into stored, labelled episodes."""

from collections.abc import Mapping

from agent.play.episode import EpisodeResult, StepRecord
from data.episodes import Episode, EpisodeStore, Labels
from data.labels import apply_labels
from data.observation import Task


class Collector:
    """Listens to a run and stores every task that was played to its grade.

    Args:
        known: root causes told from elsewhere, by task name; they win over every other label.
    """

    def __init__(
        self, store: EpisodeStore, source: str, policy: str, known: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._store = store
        self._source = source
        self._policy = policy
        self._known = known

    def task_started(self, task: Task) -> None:
        """Nothing to keep yet."""

    def step_played(self, step: StepRecord) -> None:
        """Kept with its episode."""

    def task_ended(self, result: EpisodeResult) -> None:
        """Stores the episode."""
        if result.error is None and not result.interrupted:
            self._store.append(apply_labels([episode_of(result, self._source, self._policy)], self._known)[0])


def episode_of(result: EpisodeResult, source: str, policy: str) -> Episode:
    """The played task as an episode; actions that the environment did not take are no part of it."""
    taken = [(step, step.result) for step in result.steps if step.result is not None]
    told = Labels(root_causes=result.root_causes, origin="environment", fault_types=result.fault_types)
    return Episode(
        task=result.task,
        source=source,
        policy=policy,
        observations=(result.steps[0].observation, *(answer.observation for _, answer in taken)),
        actions=tuple(step.action for step, _ in taken),
        feedback=tuple(answer.feedback for _, answer in taken),
        score=result.score,
        labels=told if result.root_causes else None,
    )
