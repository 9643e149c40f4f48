"""The interface between the agent and a world: the protocols that environments implement."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from data.observation import Action, Step, Task


class Environment(Protocol):
    """One episode at a time: `reset`, then `step` until `done`.

    Failures are subclasses of `data.errors.EnvironmentFault`. A step that may have taken effect is never
    repeated.
    """

    @property
    def name(self) -> str:
        """Where the episode runs, for records: "embedded", "http://…", "ws://…"."""

    async def reset(self, task: Task) -> Step:
        """Starts `task` and returns its first observation."""

    async def step(self, action: Action) -> Step:
        """Performs the action, after the world has moved by one tick."""

    async def aclose(self) -> None:
        """Closes connections and sessions; safe to call twice."""


@runtime_checkable
class TellsTruth(Protocol):
    """An environment that knows the fault, for labels; observations never contain it."""

    def root_causes(self) -> tuple[str, ...]:
        """The faulty services of the running episode; never shown to an agent."""

    def fault_types(self) -> tuple[str, ...]:
        """The fault family of each root cause."""


@runtime_checkable
class LiveSystem(Protocol):
    """A real system behind the interface: it offers its own actions and gives no score."""

    @property
    def offered(self) -> Mapping[str, str]:
        """{action type: what it does}, for all available actions."""
