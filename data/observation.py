"""The typed form of what environments send and receive: observations, alerts, actions, steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import SchemaError
from data.files.refusal import schema_error
from data.leak_filter import clean_feedback

Difficulty = Literal["easy", "medium", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard")

# Some systems use larger numbers for "no value", and sums of them would overflow.
LARGEST = 1e300
# The end of the feedback if a server did not carry out an action.
_VOID = "No action taken."

M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], raw: object, where: str) -> M:
    """Validates `raw` as `model`.

    Raises:
        SchemaError: names the first invalid field, its value and what belongs there.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise schema_error(error, where) from None


class Service(BaseModel):
    """One service's metrics at one tick; unknown fields are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    status: str = "unknown"
    recent_logs: tuple[str, ...] = ()

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """All fields as received; `status` and `recent_logs` only if they were sent."""
        own: dict[str, Any] = {
            name: getattr(self, name) for name in ("status", "recent_logs") if name in self.model_fields_set
        }
        return {**own, **(self.model_extra or {})}

    @cached_property
    def numbers(self) -> Mapping[str, float]:
        """The metrics that are finite numbers, booleans as 0/1."""
        told = ((name, _number(value)) for name, value in (self.model_extra or {}).items())
        return {name: value for name, value in told if value is not None}

    def number(self, name: str) -> float | None:
        """The metric as a finite number, booleans as 0/1; None if missing or not a finite number."""
        return self.numbers.get(name)

    @property
    def error_rate(self) -> float:
        """Share of failed requests, 0..1; 0 when not measured."""
        return self.number("http_server_error_rate") or 0.0

    @property
    def latency_p99_s(self) -> float:
        """99th percentile of request duration in seconds; 0 when not measured."""
        return self.number("http_server_request_duration_p99") or 0.0

    @property
    def memory_utilization(self) -> float:
        """Share of the memory limit in use, 0..1; 0 when not measured."""
        return self.number("process_memory_utilization") or 0.0

    @property
    def is_healthy(self) -> bool:
        """The grader's definition: error rate below 0.05 and p99 below 0.50 s."""
        return self.error_rate < 0.05 and self.latency_p99_s < 0.50


def status_of(error_rate: float, latency_p99_s: float, memory: float) -> str:
    """The status of one service, by the protocol's thresholds."""
    if error_rate >= 0.90 or memory >= 0.98:
        return "down"
    if error_rate >= 0.50 or latency_p99_s >= 2.0:
        return "critical"
    if error_rate >= 0.10 or latency_p99_s >= 0.50:
        return "degraded"
    return "healthy"


class Alert(BaseModel):
    """One active alert."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    alertname: str = ""
    service_name: str = ""
    severity: str = "warning"
    description: str = ""
    metric_name: str = ""
    metric_value: float | None = None
    threshold_value: float | None = None
    fired_at_tick: int = 0


class PastAction(BaseModel):
    """One entry of the environment's action history, with cleaned feedback."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    action_type: str
    target_service: str | None = None
    feedback_string: str = ""

    def model_post_init(self, _context: Any) -> None:
        cleaned = clean_feedback(self.action_type, self.feedback_string)
        object.__setattr__(self, "feedback_string", cleaned)


class Observation(BaseModel):
    """What the environment shows at one tick. The grader's `episode_score` is left out on purpose."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    services: dict[str, Service]
    active_alerts: tuple[Alert, ...] = ()
    # {caller: (callees)}; failures flow from callee to caller.
    call_graph: dict[str, tuple[str, ...]] = Field(default_factory=dict, alias="dependency_graph")
    slo_budget_remaining_pct: float = 100.0
    bad_customer_minutes: float = 0.0
    sim_time_elapsed_seconds: float = 0.0
    sim_tick: int = 0
    action_history: tuple[PastAction, ...] = ()
    incident_declared: bool = False
    mttm_achieved_tick: int | None = None
    user_impact_active: bool = True
    current_slo_burn_rate: float = 0.0

    @property
    def metric_names(self) -> frozenset[str]:
        """The names of its services' metrics."""
        return frozenset().union(*(service.numbers for service in self.services.values()))

    def to_wire(self) -> dict[str, Any]:
        """The JSON form, with the protocol's names; `parse(Observation, o.to_wire(), …) == o`."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Action(BaseModel):
    """An action for the environment to perform."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_type: str
    target_service: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """The JSON form without empty fields, as the original client sends it."""
        return {name: value for name, value in self.model_dump().items() if value}

    def __str__(self) -> str:
        return f"{self.action_type}:{self.target_service}" if self.target_service else self.action_type


class Task(BaseModel):
    """A task from the catalogue or, without an id, the random episode of a difficulty and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task_id: str | None = None
    difficulty: Difficulty
    seed: int
    max_ticks: int = Field(gt=0)

    @property
    def name(self) -> str:
        """The task's id, or `<difficulty>/<seed>` for a random episode."""
        return self.task_id or f"{self.difficulty}/{self.seed}"


@dataclass(frozen=True)
class Outcome:
    """The grader's part of a step, for reports and labels; never part of a prompt."""

    reward: float | None = None
    score: float | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """The environment's answer to a reset or an action."""

    observation: Observation
    done: bool
    feedback: str = ""
    # The environment's complaint about the action, in one line.
    error: str | None = None
    outcome: Outcome = Outcome()


def parse_step(raw: object, where: str) -> Step:
    """Reads a response of `/reset` or `/step`, or the `data` of a WebSocket observation frame.

    Raises:
        SchemaError: no `observation`, or a field of the wrong type.
    """
    if not isinstance(raw, dict) or "observation" not in raw:
        metadata = raw.get("metadata") if isinstance(raw, dict) else None
        reason = metadata.get("error") if isinstance(metadata, dict) else None
        raise SchemaError(
            where, "observation", reason, "the answer carries no observation; check the request body"
        )
    observation = parse(Observation, raw["observation"], where)
    info = raw.get("info") or {}
    if not isinstance(info, dict):
        raise SchemaError(where, "info", info, "info must be an object")
    last = observation.action_history[-1] if observation.action_history else None
    action_type = last.action_type if last else ""
    feedback = last.feedback_string if last else ""
    # An error in the history is newer than `info`, which then repeats an earlier action's feedback.
    if "action_feedback" in info and action_type != "error":
        feedback = clean_feedback(action_type, str(info["action_feedback"]))
    # Without an `info`, as over a WebSocket, only the feedback says that an action had no effect.
    valid = info.get("action_valid", not feedback.endswith(_VOID))
    error = None
    if valid is False or (last and last.action_type == "error"):
        error = " ".join(feedback.split()) or "the environment refused the action"
    outcome = Outcome(reward=_number(raw.get("reward")), score=_score(raw["observation"], info), info=info)
    return Step(observation, bool(raw.get("done", False)), feedback, error, outcome)


def _score(observation: Mapping[str, Any], info: Mapping[str, Any]) -> float | None:
    """The episode's score, if the response has one."""
    own = _number(observation.get("episode_score"))
    return own if own is not None else _number(info.get("episode_score"))


def _number(value: object) -> float | None:
    """`value` as a float of reasonable size; None for anything else."""
    return float(value) if isinstance(value, (int, float)) and abs(value) <= LARGEST else None
