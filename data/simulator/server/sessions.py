"""Sessions of the server: one world each, the count of its steps, and at most so many at a time."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from data.errors import CapacityReached
from data.observation import Action
from data.simulator.requests import ActionRequest, ResetRequest

Answer = dict[str, Any]


class ServedWorld(Protocol):
    """What the server needs of a simulated world: whole answers, as the wire carries them."""

    def reset(self, difficulty: str, seed: int, task_id: str | None) -> Answer:
        """Starts an episode; one that cannot start answers without services, with the reason."""

    def step(self, action: Action) -> Answer:
        """Acts; without a running episode it answers without services, with the reason."""


class Session:
    """One world and what `/state` tells about its episode."""

    def __init__(self, world: ServedWorld) -> None:
        self._world = world
        self._episode_id: str | None = None
        self._step_count = 0
        self._info: Answer = {}

    @property
    def state(self) -> Answer:
        """The answer of `/state`."""
        return {"episode_id": self._episode_id, "step_count": self._step_count}

    @property
    def info(self) -> Answer:
        """The `info` of the last step, which every answer of `/step` repeats."""
        return self._info

    def reset(self, request: ResetRequest) -> Answer:
        """Begins an episode under a new id, whoever held the old one."""
        self._episode_id = str(uuid.uuid4())
        self._step_count = 0
        self._info = {}
        return self._world.reset(request.difficulty, request.seed, request.task_id)

    def step(self, request: ActionRequest) -> Answer:
        """Takes one step of the world."""
        answer = self._world.step(request.action())
        if answer["observation"]["services"]:
            self._step_count += 1
            self._info = answer["info"]
        return {**answer, "info": self._info}


class Sessions:
    """The open WebSocket sessions, at most `capacity`.

    Args:
        make_world: builds the world of a new session.
        capacity: how many may be open at once.
    """

    def __init__(self, make_world: Callable[[], ServedWorld], capacity: int) -> None:
        self._make_world = make_world
        self._capacity = capacity
        self._open = 0

    def __len__(self) -> int:
        return self._open

    @contextmanager
    def place(self) -> Iterator[Session]:
        """A session for as long as the `with` block runs.

        Raises:
            CapacityReached: all places are taken.
        """
        if self._open >= self._capacity:
            raise CapacityReached(f"Server at capacity: {self._open}/{self._capacity} sessions active")
        self._open += 1
        try:
            yield Session(self._make_world())
        finally:
            self._open -= 1
