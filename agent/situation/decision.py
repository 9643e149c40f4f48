"""The interface of policies: the situation they see and the decision they make."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from typing_extensions import TypedDict

from data.actions import DESCRIPTIONS, action_space
from data.observation import Action, Observation
from gnn.ranker import Ranking

Source = Literal["llm", "llm_repaired", "rules"]


LOG_LINES = 4  # latest lines per service that prompts show and the rules read


class Message(TypedDict):
    """One turn of a conversation with a model."""

    role: str
    content: str


@dataclass(frozen=True)
class PastStep:
    """One of the agent's actions, with its cleaned feedback."""

    action: Action
    feedback: str = ""


@dataclass(frozen=True)
class Situation:
    """Everything that a policy may see; the grader's data is not reachable from here."""

    window: tuple[Observation, ...]  # oldest first, at least one; the last is now
    ranking: Ranking | None = None
    steps: tuple[PastStep, ...] = ()  # the whole episode, oldest first
    ticks_left: int = 1
    fetched_logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    offered: Mapping[str, str] | None = None  # the actions of a live system; None in an episode

    @property
    def menu(self) -> Mapping[str, str]:
        """{action type: what it does} for the available actions."""
        if self.offered is not None:
            return self.offered
        return {name: DESCRIPTIONS[name] for name in action_space(self.logs_fetched)}

    @property
    def now(self) -> Observation:
        """The latest observation."""
        return self.window[-1]

    @property
    def logs(self) -> Mapping[str, tuple[str, ...]]:
        """Log lines read so far, by service; the latest observation's lines replace older ones."""
        shown = {name: s.recent_logs for name, s in self.now.services.items() if s.recent_logs}
        return {**self.fetched_logs, **shown}

    @property
    def logs_fetched(self) -> bool:
        """Whether any logs have been fetched, which makes three more investigations available."""
        return bool(self.logs) or any(step.action.action_type == "fetch_logs" for step in self.steps)


@dataclass(frozen=True)
class Usage:
    """The model usage of a decision, over all its calls."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0  # 0 if the model's price is unknown

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True)
class Refusal:
    """An action that the guard refused, and why."""

    action: Action
    reason: str


@dataclass(frozen=True)
class Decision:
    """An action, and how it was decided."""

    action: Action
    source: Source
    # Why the rules decided instead of the model, if so.
    why_not_model: str | None = None
    # The conversation as sent, with any repair question; empty if no model was asked.
    prompt: tuple[Message, ...] = ()
    reply: str | None = None
    model: str | None = None
    usage: Usage = Usage()
    latency_s: float = 0.0
    refusals: tuple[Refusal, ...] = ()
    # The rules' or the model's reason, in one line.
    reason: str = ""
    # A remedy that was not sent, because the operator declined it or this is a dry run.
    recommended: Action | None = None

    @property
    def fallback(self) -> str | None:
        """Why the rules decided after a model was asked; None otherwise."""
        return self.why_not_model if self.prompt else None


@dataclass(frozen=True)
class Proposal:
    """An action that the rules propose, and why."""

    action: Action
    reason: str
    weight: float = 0.0  # how well a remedy fits


class Policy(Protocol):
    """Decides the steps of one task; may keep state, so every task has its own."""

    @property
    def name(self) -> str:
        """The name under which results are reported."""

    async def decide(self, situation: Situation) -> Decision:
        """Chooses the next action; never fails because of a model's reply or an observation."""
