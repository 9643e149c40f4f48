"""The server's sessions: one world each, with a step count, and a limit on their number."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from data.errors import CapacityReached
from data.simulator.requests import ActionRequest, ResetRequest
from data.simulator.world.world import World

Answer = dict[str, Any]


class Session:
    """One world, and the `/state` of its episode."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._episode_id: str | None = None
        self._step_count = 0
        self._info: Answer = {}

    @property
    def state(self) -> Answer:
        """The response of `/state`."""
        return {"episode_id": self._episode_id, "step_count": self._step_count}

    @property
    def info(self) -> Answer:
        """The `info` of the last step, which every response of `/step` repeats."""
        return self._info

    def reset(self, request: ResetRequest) -> Answer:
        """Starts an episode under a new id."""
        self._episode_id = str(uuid.uuid4())
        self._step_count = 0
        self._info = {}
        return self._world.reset(request.difficulty, request.seed, request.task_id)

    def step(self, request: ActionRequest) -> Answer:
        """Performs one step."""
        answer = self._world.step(request.action())
        if answer["observation"]["services"]:
            self._step_count += 1
            self._info = answer["info"]
        return {**answer, "info": self._info}


class Sessions:
    """The open WebSocket sessions, at most `capacity`.

    Args:
        make_world: builds the world of a new session.
        capacity: most sessions at a time.
    """

    def __init__(self, make_world: Callable[[], World], capacity: int) -> None:
        self._make_world = make_world
        self._capacity = capacity
        self._open = 0

    def __len__(self) -> int:
        return self._open

    @contextmanager
    def place(self) -> Iterator[Session]:
        """A session, for the duration of a `with` block.

        Raises:
            CapacityReached: too many sessions are open.
        """
        if self._open >= self._capacity:
            raise CapacityReached(f"Server at capacity: {self._open}/{self._capacity} sessions active")
        self._open += 1
        try:
            yield Session(self._make_world())
        finally:
            self._open -= 1
