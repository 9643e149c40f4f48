"""The models that write and read the lines of a run folder, and rankings as data."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer

from agent.play.episode import EpisodeResult, StepRecord
from agent.situation.decision import Message, Usage
from data.observation import Action, Difficulty, Observation, Task
from gnn.ranker import Ranking, Verdict

Key = tuple[str, int]  # the name of a task and its seed
Sent = Annotated[Action, PlainSerializer(Action.to_wire)]


class Line(BaseModel):
    """One line; unknown fields from other versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def record(self) -> dict[str, Any]:
        """The line as JSON, with only the fields that are set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class SuspectLine(Line):
    """One candidate of a ranking."""

    service: str
    score: float
    probability: float | None = None
    evidence: tuple[str, ...] = ()
    queries: tuple[str | None, ...] = ()  # for live telemetry: the query that shows each piece of evidence


class RankingLine(Line):
    """A ranking, without fault families, which are labels."""

    ranker: str
    verdict: Verdict = "unsure"
    reason: str = ""
    unsure: bool = False
    unsure_below: float | None = None
    incident_probability: float | None = None
    candidates: tuple[SuspectLine, ...] = ()

    @classmethod
    def of(cls, ranking: Ranking, **more: Any) -> Self:
        """The line for a ranking."""
        own = ("ranker", "verdict", "reason", "unsure", "unsure_below", "incident_probability")
        told = {name: getattr(ranking, name) for name in own}
        suspects = tuple(
            SuspectLine(
                service=c.service,
                score=c.score,
                probability=c.probability,
                evidence=tuple(evidence.text for evidence in c.evidence),
            )
            for c in ranking.candidates
        )
        return cls(**more, **told, candidates=suspects)


class RankedIncident(RankingLine):
    """The JSON of `rank` or `diagnose`."""

    incident: str = ""
    fault_kinds: dict[str, float] = {}  # chances, if the first suspect is right
    notes: tuple[str, ...] = ()
    explanation: str = ""


class TaskLine(Line):
    """The task that a line is about."""

    task: str
    task_id: str | None = None
    difficulty: Difficulty
    seed: int
    max_ticks: int

    @property
    def key(self) -> Key:
        """Identifies a task within a run, and pairs it with the same task of another run."""
        return self.task, self.seed

    @property
    def played(self) -> Task:
        """The task."""
        return Task(**{name: getattr(self, name) for name in Task.model_fields})


def _about(task: Task) -> dict[str, Any]:
    return {"task": task.name, **task.model_dump()}


class RefusalLine(Line):
    """An action that the guard refused."""

    action: Sent
    reason: str


class StepLine(TaskLine):
    """One line of steps.jsonl."""

    step: int
    tick: int = 0
    observation: Observation
    ranking: RankingLine | None = None
    prompt: tuple[Message, ...] = ()
    reply: str | None = None
    model: str | None = None
    action: Sent
    decided_by: str
    why_not_model: str | None = None
    reason: str = ""
    refusals: tuple[RefusalLine, ...] = ()
    recommended: Sent | None = None
    feedback: str = ""
    error: str | None = None
    done: bool = False
    latency_s: dict[str, float] = {}
    tokens: dict[str, int] = {}
    cost_usd: float = 0.0
    outcome: dict[str, Any] = {}
    last_observation: Observation | None = None

    @property
    def usage(self) -> Usage:
        """The model usage of this step."""
        if not self.prompt:
            return Usage()
        return Usage(1, self.tokens["prompt"], self.tokens["completion"], self.cost_usd)

    @staticmethod
    def of(step: StepRecord) -> "StepLine":
        """The line for a step."""
        decision = step.decision
        after: dict[str, Any] = {}
        if step.result:
            told = step.result.outcome
            after["outcome"] = {"reward": told.reward, "score": told.score, "info": dict(told.info)}
            if step.done:
                after["last_observation"] = step.result.observation
        return StepLine(
            **_about(step.task),
            step=step.number,
            tick=step.observation.sim_tick,
            observation=step.observation,
            ranking=RankingLine.of(step.ranking) if step.ranking else None,
            prompt=decision.prompt,
            reply=decision.reply,
            model=decision.model,
            action=step.action,
            decided_by=decision.source,
            why_not_model=decision.why_not_model,
            reason=decision.reason,
            refusals=tuple(RefusalLine(action=r.action, reason=r.reason) for r in decision.refusals),
            recommended=decision.recommended,
            feedback=step.feedback,
            error=step.error,
            done=step.done,
            latency_s={
                "ranking": round(step.ranking_s, 6),
                "decision": round(decision.latency_s, 6),
                "environment": round(step.environment_s, 6),
            },
            tokens=_tokens(decision.usage),
            cost_usd=decision.usage.cost_usd,
            **after,
        )


class EpisodeLine(TaskLine):
    """One line of episodes.jsonl."""

    score: float | None
    success: bool
    steps: int
    wrong_actions: int
    mitigated_at_tick: int | None
    decisions: dict[str, int]
    tokens: dict[str, int]
    cost_usd: float
    seconds: float
    error: str | None
    root_causes: tuple[str, ...] = ()
    ranked_first_at_step: int | None = None
    remedied_at_step: int | None = None

    @classmethod
    def of(cls, result: EpisodeResult, **more: Any) -> Self:
        """The line for an episode."""
        own = ("score", "success", "wrong_actions", "mitigated_at_tick", "decisions", "error", "root_causes",
               "ranked_first_at_step", "remedied_at_step")  # fmt: skip
        return cls(
            **more,
            **_about(result.task),
            **{name: getattr(result, name) for name in own},
            steps=len(result.steps),
            tokens=_tokens(result.usage),
            cost_usd=result.usage.cost_usd,
            seconds=round(result.seconds, 3),
        )


def _tokens(usage: Usage) -> dict[str, int]:
    return {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}
