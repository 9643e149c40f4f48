"""What a policy may see and what it answers: the seam between evidence and action."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from typing_extensions import TypedDict

from data.actions import DESCRIPTIONS, action_space
from data.observation import Action, Observation
from gnn.ranker import Ranking

Source = Literal["llm", "llm_repaired", "rules"]


LOG_LINES = 4  # of each service, the last ones: what a prompt shows and the rules read


class Message(TypedDict):
    """One turn of a conversation with a model."""

    role: str
    content: str


@dataclass(frozen=True)
class PastStep:
    """One own action and the part of its feedback that may be read."""

    action: Action
    feedback: str = ""


@dataclass(frozen=True)
class Situation:
    """Everything that a policy may read before it decides; nothing of the grader's is reachable from here."""

    window: tuple[Observation, ...]  # oldest first, at least one; the last is now
    ranking: Ranking | None = None
    steps: tuple[PastStep, ...] = ()  # the whole episode, oldest first
    ticks_left: int = 1
    fetched_logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    offered: Mapping[str, str] | None = None  # the actions of a live system; None in an episode

    @property
    def menu(self) -> Mapping[str, str]:
        """{action type: what it does}: the actions on offer."""
        if self.offered is not None:
            return self.offered
        return {name: DESCRIPTIONS[name] for name in action_space(self.logs_fetched)}

    @property
    def now(self) -> Observation:
        """The latest observation."""
        return self.window[-1]

    @property
    def logs(self) -> Mapping[str, tuple[str, ...]]:
        """Log lines read so far, by service; the latest observation's replace older ones."""
        shown = {name: s.recent_logs for name, s in self.now.services.items() if s.recent_logs}
        return {**self.fetched_logs, **shown}

    @property
    def logs_fetched(self) -> bool:
        """Whether any logs have been fetched, which opens three more investigations."""
        return bool(self.logs) or any(step.action.action_type == "fetch_logs" for step in self.steps)


@dataclass(frozen=True)
class Usage:
    """What a decision cost at the model's end, all calls together."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0  # 0 when the model's price is not known

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True)
class Refusal:
    """An action that the guard did not let through."""

    action: Action
    reason: str


@dataclass(frozen=True)
class Decision:
    """One action and the record of how it came about."""

    action: Action
    source: Source
    # Short cause when a model should have answered and the rules did; None otherwise.
    why_not_model: str | None = None
    # The conversation as it was sent, a repair question included; empty when no model was asked.
    prompt: tuple[Message, ...] = ()
    reply: str | None = None
    model: str | None = None
    usage: Usage = Usage()
    latency_s: float = 0.0
    refusals: tuple[Refusal, ...] = ()
    # The rules' own reason, or the model's, in one line.
    reason: str = ""
    # A remedy that was wanted but not sent, because a person declined it or the run is a dry run.
    recommended: Action | None = None

    @property
    def fallback(self) -> str | None:
        """Why the rules answered although a model was asked; None when none was, or when it answered."""
        return self.why_not_model if self.prompt else None


@dataclass(frozen=True)
class Proposal:
    """An action that the rules want, and why."""

    action: Action
    reason: str
    weight: float = 0.0  # how well a remedy fits


class Policy(Protocol):
    """Decides one task's steps; it may remember, so every task gets its own."""

    @property
    def name(self) -> str:
        """The name under which results are reported."""

    async def decide(self, situation: Situation) -> Decision:
        """Chooses the next action; never raises for what a model or an observation says."""


def last_feedback(steps: Sequence[PastStep]) -> str:
    """The feedback of the latest own action, "" at the start."""
    return steps[-1].feedback if steps else ""
