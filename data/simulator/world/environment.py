"""The simulated world as an in-process `Environment`, with separate access to its labels."""

from typing import Any

from data.actions import RESOLVE
from data.errors import EpisodeLost
from data.observation import Action, PastAction, Step, Task, parse
from data.simulator.world.logs import Wording
from data.simulator.world.world import RunningEpisode, World
from data.wire import read_reset, read_step


def next_action(episode: RunningEpisode) -> Action:
    """Cures the faults one by one, waits until all services have recovered, then resolves."""
    names = episode.setup.topology.names
    for fault in episode.setup.faults:
        if not fault.halted and fault.minutes > 0.0:
            return Action(action_type=fault.family.cure, target_service=names[fault.service])
    if episode.ails:
        return Action(action_type="get_metrics_detail", target_service=names[episode.setup.faults[0].service])
    return RESOLVE


__all__ = ["EmbeddedEnvironment", "World"]

_NAME = "embedded"


class EmbeddedEnvironment:
    """An environment in this process. Its labels are for training and scoring, never for an agent.

    Args:
        wording: of log lines.
    """

    def __init__(self, wording: Wording = "known") -> None:
        self._world = World(wording)
        self._last: Step | None = None
        self._past: tuple[PastAction, ...] = ()

    @property
    def name(self) -> str:
        """ "embedded"."""
        return _NAME

    async def reset(self, task: Task) -> Step:
        """Starts `task`.

        Raises:
            TaskRefused: unknown task.
        """
        answer = self._world.reset(task.difficulty, task.seed, task.task_id)
        self._past = ()
        self._last = read_reset(answer, _NAME, task)
        return self._last

    async def step(self, action: Action) -> Step:
        """Performs an action.

        Raises:
            ActionRefused: there is no such action.
            EpisodeLost: no episode is running.
        """
        answer: dict[str, Any] = self._world.step(action)
        if self._last is None or not answer["observation"]["services"]:
            reason = answer["observation"]["action_history"][0]["feedback_string"]
            raise EpisodeLost(f"{_NAME}: {reason}")
        observation = answer["observation"]
        # Parse only the new past action, for speed.
        newest = parse(PastAction, observation["action_history"][-1], _NAME)
        self._past = (*self._past, newest)[-len(observation["action_history"]) :]
        answer["observation"] = {**observation, "action_history": self._past}
        self._last = read_step(answer, _NAME, self._last)
        return self._last

    async def aclose(self) -> None:
        """Does nothing."""

    def root_causes(self) -> tuple[str, ...]:
        """The faulty services of the running episode."""
        episode = self._running
        return tuple(episode.setup.topology.names[fault.service] for fault in episode.setup.faults)

    def fault_types(self) -> tuple[str, ...]:
        """Their fault families, in the same order."""
        return tuple(fault.family.name for fault in self._running.setup.faults)

    def red_herrings(self) -> tuple[str, ...]:
        """Innocent services that look suspicious on purpose."""
        episode = self._running
        return tuple(episode.setup.topology.names[i] for i in episode.setup.red_herrings)

    def best_action(self) -> Action:
        """What one who knows the fault does next: for teaching and measuring."""
        return next_action(self._running)

    @property
    def _running(self) -> RunningEpisode:
        if self._world.episode is None:
            raise EpisodeLost(f"{_NAME}: no episode has been started")
        return self._world.episode
