"""The request formats for an action, and the part of an endpoint's answer that is read."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from data.actions import ACTION_TYPES

# A count of tokens beyond this is no count: no model reads or writes so many at once.
MOST_TOKENS = 10_000_000

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "action_type": {"type": "string", "enum": list(ACTION_TYPES)},
        "target_service": {"type": ["string", "null"]},
        "reason": {"type": "string"},
    },
    "required": ["action_type", "target_service", "reason"],
    "additionalProperties": False,
}
# What is asked of an endpoint beyond the plain question, most first; those it does not offer are passed over.
FORMS: tuple[Mapping[str, Any], ...] = (
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "action", "strict": True, "schema": _SCHEMA},
        }
    },
    {"response_format": {"type": "json_object", "schema": _SCHEMA}},
    {
        "tools": [{"type": "function", "function": {"name": "act", "parameters": _SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": "act"}},
    },
    {"response_format": {"type": "json_object"}},
    {},
)


class _Function(BaseModel):
    arguments: str = ""


class _ToolCall(BaseModel):
    function: _Function


class _Message(BaseModel):
    content: Any = None
    tool_calls: tuple[_ToolCall, ...] | None = None


class _Choice(BaseModel):
    message: _Message


class Completion(BaseModel):
    """The part of an endpoint's answer that is read."""

    choices: tuple[_Choice, ...] = Field(min_length=1)
    usage: Any = None

    @property
    def text(self) -> str:
        """What the model said, or the arguments of the function that it called."""
        message = self.choices[0].message
        called = message.tool_calls[0].function.arguments if message.tool_calls else ""
        return message.content if isinstance(message.content, str) and message.content else called

    def count(self, name: str, estimate: int) -> int:
        """The token count of the endpoint, or `estimate` if that is missing or impossible."""
        told = self.usage.get(name) if isinstance(self.usage, dict) else None
        return told if type(told) is int and 0 <= told <= MOST_TOKENS else estimate
