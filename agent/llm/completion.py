"""The request formats for an action, and the part of an endpoint's answer that is read."""

from collections.abc import Mapping
from typing import Any

from pydantic import AliasPath, BaseModel, Field

from agent.llm.reply import LONGEST_REASON, Choice

# A larger token count is not plausible.
MOST_TOKENS = 10_000_000


def forms(choice: Choice | None) -> tuple[Mapping[str, Any], ...]:
    """The request's extra fields, richest form first; an endpoint may accept only the last.

    Args:
        choice: what the reply may name; without it the reply is free text.
    """
    if choice is None:
        return ({},)
    schema = _schema(choice)
    strict = {"name": "action", "strict": True, "schema": schema}
    return (
        {"response_format": {"type": "json_schema", "json_schema": strict}},
        {"response_format": {"type": "json_object", "schema": schema}},
        {
            "tools": [{"type": "function", "function": {"name": "act", "parameters": schema}}],
            "tool_choice": {"type": "function", "function": {"name": "act"}},
        },
        {"response_format": {"type": "json_object"}},
        {},
    )


def _schema(choice: Choice) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "action_type": {"type": "string", "enum": list(choice.menu)},
            "target_service": {"type": ["string", "null"], "enum": [*choice.services, None]},
            # A pattern, because not every endpoint knows maxLength.
            "reason": {"type": "string", "pattern": f'^[^"\\\\\\n]{{0,{LONGEST_REASON}}}$'},
        },
        "required": ["action_type", "target_service", "reason"],
        "additionalProperties": False,
    }


_FIRST = ("choices", 0, "message")


class Completion(BaseModel):
    """The part of an endpoint's answer that is read."""

    message: dict[str, Any] = Field(validation_alias=AliasPath(*_FIRST))
    called: str = Field("", validation_alias=AliasPath(*_FIRST, "tool_calls", 0, "function", "arguments"))
    usage: Any = None

    @property
    def text(self) -> str:
        """The model's text, or the arguments of the function that it called."""
        said = self.message.get("content")
        return said if isinstance(said, str) and said else self.called

    def count(self, name: str, estimate: int) -> int:
        """The token count of the endpoint, or `estimate` if that is missing or impossible."""
        told = self.usage.get(name) if isinstance(self.usage, dict) else None
        return told if type(told) is int and 0 <= told <= MOST_TOKENS else estimate
