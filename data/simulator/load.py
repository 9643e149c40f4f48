"""The load from users over time."""

from dataclasses import dataclass

import numpy as np

from data.arrays import Floats

# Shortest and longest period of the usual traffic, in ticks.
PERIOD_TICKS = (20.0, 300.0)


@dataclass(frozen=True)
class Load:
    """Traffic relative to the usual: a periodic wave, and possibly a lasting shift."""

    shift: float = 1.0  # factor from tick `since` on
    since: int = 0
    swing: float = 0.0  # amplitude of the wave
    period_ticks: float = PERIOD_TICKS[1]
    phase: float = 0.0  # radians at tick 0

    def at(self, tick: int) -> float:
        """The factor at `tick`, counted from the start of the world."""
        usual = float(wave(self.swing, self.period_ticks, self.phase, np.array(float(tick))))
        return usual * self.shift if tick >= self.since else usual


def wave(swing: float | Floats, period_ticks: float | Floats, phase: float | Floats, ticks: Floats) -> Floats:
    """The usual traffic at `ticks`, with a mean of 1; the arguments are broadcast."""
    return np.asarray(1.0 + swing * np.sin(2.0 * np.pi * ticks / period_ticks + phase))


def draw_load(rng: np.random.Generator, seasonality: float) -> tuple[float, float, float]:
    """Draws swing, period and phase; the swing is at most `seasonality`."""
    swing = seasonality * float(rng.uniform(0.5, 1.0))
    return swing, float(rng.uniform(*PERIOD_TICKS)), float(rng.uniform(0.0, 2.0 * np.pi))
