"""A fault that is running in a world: its clock, and what remedies have done to it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from data.simulator.faults import Drive, FaultFamily, Remedy
from data.simulator.faults.base import FADE_PER_MINUTE

Floats = npt.NDArray[np.float64]
DRIVES = len(Drive)
# Counts and loads are what they are; everything else may come weaker or stronger.
_STRENGTHENED = [drive for drive in Drive if drive not in (Drive.RESTARTS, Drive.SURGE)]


@dataclass
class RunningFault:
    """One family at one service. `minutes` is negative before its onset."""

    family: FaultFamily
    service: int
    pace: float = 1.0
    strength: float = 1.0
    minutes: float = 0.0
    halted: bool = False
    lasts_minutes: float = math.inf  # some faults go as they came
    levels: Floats = field(default_factory=lambda: np.zeros(DRIVES))

    def advance(self, minutes: float) -> None:
        """Grows, or fades once halted."""
        if self.halted:
            self.levels = np.maximum(self.levels - FADE_PER_MINUTE * minutes, 0.0)
            return
        self.minutes += minutes
        self.halted = self.minutes > self.lasts_minutes
        if self.minutes <= 0.0:
            return
        self.levels = np.zeros(DRIVES)
        for drive, level in self.family.levels(self.minutes, self.pace):
            self.levels[drive] = level
        if self.strength != 1.0:
            self.levels[_STRENGTHENED] *= self.strength
            self.levels[Drive.ERROR] = min(self.levels[Drive.ERROR], 1.0)

    def apply(self, remedy: Remedy) -> None:
        """What the remedy does, at once."""
        if remedy.effect == "halt":
            self.halted = True
            self.levels[Drive.ERROR] *= remedy.left
            self.levels[Drive.LATENCY] *= remedy.left
        elif remedy.effect == "ease":
            self.minutes *= remedy.left
        else:
            self.pace /= remedy.left


def drives(faults: Iterable[RunningFault], services: int) -> Floats:
    """All faults together.  → (D, S)"""
    own = np.zeros((DRIVES, services))
    for fault in faults:
        column = own[:, fault.service]
        np.maximum(column, fault.levels, out=column, where=fault.levels >= 0.0)
        column += np.minimum(fault.levels, 0.0)
    return own


def hidden_shares(faults: Iterable[RunningFault], services: int) -> Floats:
    """Share of each service's own trouble that its own metrics do not show.  → (S,)"""
    hidden = np.zeros(services)
    for fault in faults:
        hidden[fault.service] = fault.family.hidden
    return hidden
