"""The base class of fault families: how a fault grows, what it affects, and which remedies help."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Drive(IntEnum):
    """What a fault affects at its own service; 0 means unaffected."""

    ERROR = 0  # share of requests that fail there
    LATENCY = 1  # extra p99 seconds, at a service whose healthy p99 is 0.1 s
    CPU = 2  # extra share of the cpu limit
    MEMORY = 3  # share of the free memory eaten
    SATURATION = 4  # share of pool, threads or queue taken
    DESCRIPTORS = 5  # extra open files and sockets
    DISK = 6  # share of the disk filled
    NETWORK = 7  # share of packets lost or resent
    SILENCE = 8  # share of the instances that neither answer nor report metrics
    GC = 9  # extra pause, ms
    RESTARTS = 10  # restarts so far
    SURGE = 11  # extra load, as a share of the usual
    CLIENT = 12  # extra seconds on every call that the service itself makes
    LOGS = 13  # unusual log lines per request, besides those of failures


# How much a drive falls per minute once its fault is halted. Error and latency fade over several ticks, as
# callers come back slowly; resources are freed at once.
FADE_PER_MINUTE: Floats = np.array([0.3, 3.0, 9, 9, 9, 9e4, 9, 9, 9, 9e4, 0, 9, 9, 9], dtype=np.float64)


@dataclass(frozen=True)
class Symptom:
    """A drive over time: after `after_minutes` it jumps by `jump`, then grows up to `ceiling`."""

    drive: Drive
    jump: float = 0.0
    per_minute: float = 0.0
    ceiling: float = 1.0
    after_minutes: float = 0.0


@dataclass(frozen=True)
class Remedy:
    """What an action does to a running fault.

    `halt` ends it (the rest of error and latency fades), `ease` sets its age back to `left` times as much,
    `worsen` speeds it up by `1 / left`.
    """

    action: str
    effect: Literal["halt", "ease", "worsen"]
    feedback: str
    left: float = 0.5


@dataclass(frozen=True)
class Extra:
    """A task-specific metric of the service: its value in health and at full strength of the fault."""

    name: str
    healthy: float | str | bool
    broken: float | str | bool


class FaultFamily:
    """One kind of fault. Subclasses set the data; those with their own course override `levels`."""

    name: str
    title: str
    story: str
    # Whether it is severe enough for an episode of the environment.
    playable: bool = True
    # What its callers and callees notice.
    callers_see: str = "Their calls fail, and they fail in turn; the more they depend on it, the sooner."
    callees_see: str = "Less traffic, otherwise nothing."
    symptoms: tuple[Symptom, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    # What changed shortly before, if anything.
    change: Literal["deploy", "config", None] = None
    # Share of error and latency that only callers see, not the service's own metrics.
    hidden: float = 0.0
    # Kinds of service that can have it; empty for any.
    kinds: tuple[str, ...] = ()
    # The feedback of thread dump, strace and commit diff.
    dump: str = ""
    extras: tuple[Extra, ...] = ()

    def levels(self, minutes: float, pace: float) -> list[tuple[Drive, float]]:
        """The drives after `minutes`, at `pace` times the usual speed."""
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


def every(minutes: float, period: float, share: float) -> bool:
    """Whether `minutes` is in the first `share` of a cycle of `period` minutes."""
    return (minutes % period) < share * period
