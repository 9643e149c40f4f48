"""Validates the server's requests, and builds its refusals in FirewatchEnv's form."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticKnownError

from data.actions import ACTION_TYPES
from data.observation import Action

_LONGEST_NAME = 200
_MOST_COMPLAINTS = 10
# Names are repeated in answers, in the history for ten steps.
Name = Annotated[str, Field(max_length=_LONGEST_NAME)]


class ResetRequest(BaseModel):
    """The body of `/reset`; the world checks the difficulty."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    difficulty: Name = "easy"
    seed: int = 0
    task_id: Name | None = None


class StepRequest(BaseModel):
    """The body of `/step`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    action: dict[str, Any]


class ActionRequest(BaseModel):
    """The action within a `/step` body, or the data of a WebSocket `step` frame."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_type: Name
    target_service: Name | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    # Some clients send it; ignored.
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("action_type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ACTION_TYPES:
            names = ", ".join(f"'{name}'" for name in ACTION_TYPES[:-1])
            raise PydanticKnownError("literal_error", {"expected": f"{names} or '{ACTION_TYPES[-1]}'"})
        return value

    def action(self) -> Action:
        """The action for the world."""
        return Action(
            action_type=self.action_type,
            target_service=self.target_service or None,
            parameters=self.parameters,
        )


def complaints(error: ValidationError) -> list[dict[str, Any]]:
    """The `detail` of a 422."""
    return [
        {**entry, "loc": [_short(part) for part in entry["loc"]], "input": _short(entry["input"])}
        for entry in error.errors()[:_MOST_COMPLAINTS]
    ]


def _short(value: object) -> object:
    """The value, shortened if long."""
    shown = str(value)
    return value if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}…"


def invalid_request(error: ValidationError) -> str:
    """The reason in the answer to a request that is neither a reset nor a step."""
    entries = [
        {name: part for name, part in entry.items() if name != "url"} | {"loc": ("body", *entry["loc"])}
        for entry in complaints(error)
    ]
    return f"Invalid request: {entries}"


def empty_observation(reason: str) -> dict[str, Any]:
    """The observation if no episode is running."""
    return {
        "services": {},
        "active_alerts": [],
        "dependency_graph": {},
        "slo_budget_remaining_pct": 100.0,
        "bad_customer_minutes": 0.0,
        "sim_time_elapsed_seconds": 0,
        "sim_tick": 0,
        "action_history": [{"action_type": "error", "target_service": "", "feedback_string": reason}],
        "incident_declared": False,
        "mttm_achieved_tick": None,
        "user_impact_active": True,
        "current_slo_burn_rate": 1.5,
        "episode_score": None,
    }


def nothing_observed(reason: str) -> dict[str, Any]:
    """The answer to a reset that fails, and to a step without an episode."""
    return {"observation": empty_observation(reason), "reward": None, "done": False}


def flat_refusal(reason: str) -> dict[str, Any]:
    """The answer to an invalid request: the observation's fields at the top level."""
    return {"done": False, "reward": None, "metadata": {"error": reason}, **empty_observation(reason)}
