"""The fault families, read from families.toml: how a fault grows, what it affects, which remedies help."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict

from data.faults.courses import COURSES, Levels
from data.faults.drives import Drive


class Symptom(NamedTuple):
    """A drive over time: after `after_minutes` it jumps by `jump`, then grows up to `ceiling`."""

    drive: Annotated[Drive, BeforeValidator(lambda name: Drive[name.upper()])]
    jump: float = 0.0
    per_minute: float = 0.0
    ceiling: float = 1.0
    after_minutes: float = 0.0


class Remedy(NamedTuple):
    """What an action does to a running fault.

    `halt` ends it (the rest of error and latency fades), `ease` sets its age back to `left` times as much,
    `worsen` speeds it up by `1 / left`.
    """

    action: str
    effect: Literal["halt", "ease", "worsen"]
    feedback: str
    left: float = 0.5


class Extra(NamedTuple):
    """A task-specific metric of the service: its value in health and at full strength of the fault."""

    name: str
    healthy: int | float | str | bool
    broken: int | float | str | bool


class LogWordings(NamedTuple):
    """Log lines in two wordings for development, and in one that is held out for evaluation."""

    known: tuple[str, ...]
    also: tuple[str, ...]
    held_out: tuple[str, ...]


class FaultFamily(BaseModel):
    """One kind of fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    story: str
    # Whether it is severe enough for an episode of the environment.
    playable: bool = True
    # What its callers and callees notice.
    callers_see: str = "Their calls fail, and they fail in turn; the more they depend on it, the sooner."
    callees_see: str = "Less traffic, otherwise nothing."
    symptoms: tuple[Symptom, ...] = ()
    remedies: tuple[Remedy, ...]
    # What changed shortly before, if anything.
    change: Literal["deploy", "config", None] = None
    # Share of error and latency that only callers see, not the service's own metrics.
    hidden: float = 0.0
    # Kinds of service that can have it; empty for any.
    kinds: tuple[str, ...] = ()
    # The feedback of thread dump, strace and commit diff.
    dump: str
    extras: tuple[Extra, ...] = ()
    log: LogWordings

    def levels(self, minutes: float, pace: float) -> Levels:
        """The drives after `minutes`, at `pace` times the usual speed."""
        if self.name in COURSES:
            return COURSES[self.name](minutes, pace)
        levels = []
        for symptom in self.symptoms:
            grown = minutes - symptom.after_minutes / pace
            if grown >= 0.0:
                level = symptom.jump + symptom.per_minute * pace * grown
                levels.append((symptom.drive, min(level, symptom.ceiling)))
        return levels

    @property
    def cure(self) -> str:
        """The action that ends it."""
        return next(remedy.action for remedy in self.remedies if remedy.effect == "halt")

    def remedy(self, action: str) -> Remedy | None:
        """The effect of `action`, if any."""
        return next((remedy for remedy in self.remedies if remedy.action == action), None)


@cache
def fault_families() -> Mapping[str, FaultFamily]:
    """The fault families, by name."""
    text = (resources.files("data.faults") / "families.toml").read_text(encoding="utf-8")
    return {name: FaultFamily(name=name, **told) for name, told in tomllib.loads(text).items()}
