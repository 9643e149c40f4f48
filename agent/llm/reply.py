"""Parses a model's reply into one usable action, or says why it is unusable."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from agent.llm.sanitize import labels_of, writable
from agent.situation.decision import Situation
from data.actions import takes_target
from data.errors import FirewatchError
from data.observation import Action

WAIT = "wait"  # no action of the protocol: whoever plays sends a look that tells nothing new
MAX_REPLY = 20_000
MAX_OBJECTS = 50
REASON_LENGTH = 200
LONGEST_REASON = 120  # what a model is held to: a small one would never end
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


class Wanted(NamedTuple):
    """What a reply asks for."""

    action: Action
    reason: str  # the model's own, in one line; "" where it gave none


class Choice(NamedTuple):
    """What a usable reply may name."""

    menu: tuple[str, ...]
    services: tuple[str, ...]  # as the prompt calls them

    @staticmethod
    def of(situation: Situation) -> "Choice":
        """What may be chosen now."""
        names = labels_of(situation.now.services).values()
        waits = (WAIT,) if situation.offered is None else ()
        return Choice((*situation.menu, *waits), tuple(names))


def parse_reply(text: str, situation: Situation) -> Wanted:
    """What `text` asks for.

    Accepts Markdown fences, prose around the object, `action` for `action_type`, `targets` (a string or the
    first of a list) for `target_service`, and missing or empty `parameters`. A target is never guessed.

    Raises:
        UnusableReply: no object, an action outside of the menu, a target that is not in this observation, or
            parameters, which no action of the menu takes.
    """
    fields = _first_action(text)
    kind = fields.get("action_type", fields.get("action"))
    if not isinstance(kind, str):
        raise UnusableReply("no_action", "the action_type is missing or no text")
    kind = kind.strip().lower()
    if kind not in Choice.of(situation).menu:
        raise UnusableReply("unknown_action", "the action_type is not in the menu")
    if fields.get("parameters"):
        raise UnusableReply("parameters", "no action of the menu takes parameters")
    target = _target(fields, situation) if kind != WAIT and takes_target(kind) else None
    reason = fields.get("reason")
    told = " ".join(writable(reason).split())[:REASON_LENGTH] if isinstance(reason, str) else ""
    return Wanted(Action(action_type=kind, target_service=target), told)


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
