"""A model's reply in, one usable action out, or the reason why it cannot be used."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from agent.llm.sanitize import labels_of, writable
from agent.situation.decision import Situation
from data.actions import action_space, takes_target
from data.errors import FirewatchError
from data.observation import Action

MAX_REPLY = 20_000
MAX_OBJECTS = 50
_FENCED = re.compile(r"```[A-Za-z]*\s*(.*?)```", re.DOTALL)
_NO_TARGET = ("", "null", "none", "n/a")


class UnusableReply(FirewatchError):
    """A reply without a usable action.

    Args:
        cause: one word for records.
        problem: what the model is told.
    """

    def __init__(self, cause: str, problem: str) -> None:
        super().__init__(problem)
        self.cause, self.problem = cause, problem

    def __reduce__(self) -> tuple[type["UnusableReply"], tuple[str, str]]:
        # Exceptions are unpickled from their message alone, which is not what this one is made of.
        return type(self), (self.cause, self.problem)


def parse_reply(text: str, situation: Situation) -> Action:
    """The action that `text` asks for.

    Accepts Markdown fences, prose around the object, `action` for `action_type`, `targets` (a string or the
    first of a list) for `target_service`, and missing `parameters`. A target is never guessed.

    Raises:
        UnusableReply: no object, an action outside of the menu, or a target that is not in this observation.
    """
    fields = _first_action(text)
    kind = fields.get("action_type", fields.get("action"))
    if not isinstance(kind, str):
        raise UnusableReply("no_action", "the action_type is missing or no text")
    kind = kind.strip().lower()
    if kind not in action_space(situation.logs_fetched):
        raise UnusableReply("unknown_action", "the action_type is not in the menu")
    if not takes_target(kind):
        return Action(action_type=kind)
    return Action(action_type=kind, target_service=_target(fields, situation), parameters=_parameters(fields))


def reason_of(text: str) -> str:
    """The model's own short reason, "" where it gave none."""
    try:
        reason = _first_action(text).get("reason")
    except UnusableReply:
        return ""
    return " ".join(writable(reason).split())[:200] if isinstance(reason, str) else ""


def _target(fields: dict[str, Any], situation: Situation) -> str:
    target = fields.get("target_service")
    if target is None:
        target = fields.get("targets", fields.get("target"))
    if isinstance(target, list):
        target = target[0] if target else None
    if not isinstance(target, str) or target.strip().lower() in _NO_TARGET:
        raise UnusableReply("no_target", "this action needs a target_service")
    wanted = target.strip()
    for name, label in labels_of(situation.now.services).items():
        if wanted in (name, label):
            return name
    raise UnusableReply("unknown_target", "the target_service is none of the services listed")


def _parameters(fields: dict[str, Any]) -> dict[str, Any]:
    """Plain parameters; what is nested or cannot be sent is left out, as the protocol has no use for it."""
    given = fields.get("parameters")
    if not isinstance(given, dict):
        return {}
    return {
        writable(name): writable(value) if isinstance(value, str) else value
        for name, value in list(given.items())[:10]
        if _is_plain(value)
    }


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (str, bool, int)) and len(str(value)) <= 200


def _first_action(text: str) -> dict[str, Any]:
    """The first JSON object in `text` that names an action, fenced ones before others."""
    text = text[:MAX_REPLY]
    found = False
    for source in (*_FENCED.findall(text), text):
        for fields in _objects(source):
            found = True
            if "action_type" in fields or "action" in fields:
                return fields
    if found:
        raise UnusableReply("no_action", "the JSON object has no action_type")
    cause = "empty" if not text.strip() else "invalid_json"
    raise UnusableReply(cause, "there is no JSON object in it")


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in `text`, in order, as far as they parse."""
    decoder = json.JSONDecoder()
    position = text.find("{")
    for _ in range(MAX_OBJECTS):
        if position < 0:
            return
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            if isinstance(value, dict):
                yield value
        position = text.find("{", end)
