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
# What is a share cannot exceed the whole.
_SHARES = (Drive.ERROR, Drive.CPU, Drive.MEMORY, Drive.SATURATION, Drive.DISK, Drive.NETWORK, Drive.SILENCE)
_MOST: Floats = np.array([0.98 if drive in _SHARES else np.inf for drive in Drive])


@dataclass
class RunningFault:
    """One family at one service. `minutes` is negative before its onset."""

    family: FaultFamily
    service: int
    pace: float = 1.0
    # Factors on the drives, for faults that push harder here and softer there; None for the family's own.
    strength: Floats | None = None  # (D,)
    # Drives besides the family's own, for as long as it runs; None for none.
    beside: Floats | None = None  # (D,)
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
        if self.strength is not None:
            self.levels = np.minimum(self.levels * self.strength, _MOST)
        if self.beside is not None:
            self.levels = np.minimum(self.levels + self.beside, _MOST)

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


def as_callers_see(values: Floats, usual: Floats | float, hidden: Floats | float) -> Floats:
    """What callers measure where a service itself shows `values`, a share of all above `usual` hidden."""
    return values + np.maximum(values - usual, 0.0) * hidden / (1.0 - hidden)
