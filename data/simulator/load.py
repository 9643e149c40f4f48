"""The load from outside: how much users ask of a world from one tick to the next, whatever fails inside."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# Ticks from one crest of the usual traffic to the next.
PERIOD_TICKS = (20.0, 300.0)


@dataclass(frozen=True)
class Load:
    """Traffic as a factor of the usual: a wave that comes and goes, and perhaps a shift that stays."""

    shift: float = 1.0  # factor from tick `since` on
    since: int = 0
    swing: float = 0.0  # how far the wave departs from 1
    period_ticks: float = PERIOD_TICKS[1]
    phase: float = 0.0  # radians at tick 0

    def at(self, tick: int) -> float:
        """The factor at `tick`, counted from the beginning of the world, seen or not."""
        usual = float(wave(self.swing, self.period_ticks, self.phase, np.array(float(tick))))
        return usual * self.shift if tick >= self.since else usual


def wave(swing: float | Floats, period_ticks: float | Floats, phase: float | Floats, ticks: Floats) -> Floats:
    """The usual traffic at `ticks`, 1 on average; the arguments are broadcast together."""
    return np.asarray(1.0 + swing * np.sin(2.0 * np.pi * ticks / period_ticks + phase))


def draw_load(rng: np.random.Generator, seasonality: float) -> tuple[float, float, float]:
    """Swing, period and phase of a world whose traffic swings by up to `seasonality`."""
    swing = seasonality * float(rng.uniform(0.5, 1.0))
    return swing, float(rng.uniform(*PERIOD_TICKS)), float(rng.uniform(0.0, 2.0 * np.pi))
