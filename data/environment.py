"""The seam between the agent and a world: the protocol that every environment implements."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from data.observation import Action, Step, Task


class Environment(Protocol):
    """One episode at a time: `reset`, then `step` until `done`.

    Failures are the subclasses of `data.errors.EnvironmentFault`. An implementation never repeats a step
    whose effect it cannot rule out.
    """

    @property
    def name(self) -> str:
        """Where the episode runs, for records: "embedded", "http://…", "ws://…"."""

    async def reset(self, task: Task) -> Step:
        """Starts `task` and returns its first observation."""

    async def step(self, action: Action) -> Step:
        """Acts; the world moves one tick before the action takes hold."""

    async def aclose(self) -> None:
        """Gives back connections and sessions; safe to call twice."""


@runtime_checkable
class TellsTruth(Protocol):
    """An environment that knows its own fault and tells it outside of every observation."""

    def root_causes(self) -> tuple[str, ...]:
        """The services that broke in the running episode; the label channel, never shown to an agent."""

    def fault_types(self) -> tuple[str, ...]:
        """The fault families of the running episode, as many as root causes."""


@runtime_checkable
class LiveSystem(Protocol):
    """An environment that is no episode: it offers actions of its own and grades nothing."""

    @property
    def offered(self) -> Mapping[str, str]:
        """{action type: what it does}: all that may be asked of it."""
