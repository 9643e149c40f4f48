"""Faults that are running in a world: their clocks, and the effects of remedies on them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from data.arrays import Floats
from data.faults.drives import FADE_PER_MINUTE, Drive
from data.faults.families import FaultFamily, Remedy

DRIVES = len(Drive)
# Shares cannot exceed 1.
_SHARES = (Drive.ERROR, Drive.CPU, Drive.MEMORY, Drive.SATURATION, Drive.DISK, Drive.NETWORK, Drive.SILENCE)
_MOST: Floats = np.array([0.98 if drive in _SHARES else np.inf for drive in Drive])


@dataclass
class RunningFault:
    """A fault of one family at one service. `minutes` is negative before the onset."""

    family: FaultFamily
    service: int
    pace: float = 1.0
    # Factors on the family's drives; None for 1.
    strength: Floats | None = None  # (D,)
    # Drives in addition to the family's own; None for none.
    beside: Floats | None = None  # (D,)
    minutes: float = 0.0
    halted: bool = False
    lasts_minutes: float = math.inf  # some faults end by themselves
    levels: Floats = field(default_factory=lambda: np.zeros(DRIVES))

    def advance(self, minutes: float) -> None:
        """Lets the fault grow, or fade once halted."""
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
        """Applies the immediate effect of a remedy."""
        if remedy.effect == "halt":
            self.halted = True
            self.levels[Drive.ERROR] *= remedy.left
            self.levels[Drive.LATENCY] *= remedy.left
        elif remedy.effect == "ease":
            self.minutes *= remedy.left
        else:
            self.pace /= remedy.left


def drives(faults: Iterable[RunningFault], services: int) -> Floats:
    """The drives of all faults together.  → (D, S)"""
    own = np.zeros((DRIVES, services))
    for fault in faults:
        column = own[:, fault.service]
        np.maximum(column, fault.levels, out=column, where=fault.levels >= 0.0)
        column += np.minimum(fault.levels, 0.0)
    return own


def hidden_shares(faults: Iterable[RunningFault], services: int) -> Floats:
    """The share of each service's errors and latency that its own metrics don't show.  → (S,)"""
    hidden = np.zeros(services)
    for fault in faults:
        hidden[fault.service] = fault.family.hidden
    return hidden


def as_callers_see(values: Floats, usual: Floats | float, hidden: Floats | float) -> Floats:
    """What callers measure if a service shows `values`, but hides a share of the excess over `usual`."""
    return values + np.maximum(values - usual, 0.0) * hidden / (1.0 - hidden)
