"""The score of an episode, and the figures behind it."""

import math
from dataclasses import dataclass, field

from data.simulator.config import WorldConfig

_TICK_MINUTES = 0.5
# With this many needless remedies, the precision part of the score is 0.
_WRONG_ACTIONS = 6
# The first tick at which an action can end an episode. The original scores that 0.16 on average; no recording
# shows how. Without the part for bad customer minutes, which nobody has seen yet, the formula gives 0.15.
_FIRST_TICK = 2


@dataclass(frozen=True)
class Accounts:
    """The inputs of the score."""

    affected: int
    recovered: int
    max_ticks: int
    mitigated_at_tick: int | None
    bad_customer_minutes: float
    impact_scale: float
    wrong_actions: int
    slo_budget_left: float  # 0..1


def grade_score(a: Accounts) -> float:
    """40 % services recovered, 25 % speed, 20 % precision, 15 % SLO budget left.

    Precision counts only if something has recovered, because doing nothing is not precise.
    """
    recovered = a.recovered / a.affected if a.affected else 0.0
    in_time = 0.0 if a.mitigated_at_tick is None else max(0.0, 1.0 - a.mitigated_at_tick / a.max_ticks)
    spared = max(0.0, 1.0 - a.bad_customer_minutes / a.impact_scale)
    precision = max(0.0, 1.0 - a.wrong_actions / _WRONG_ACTIONS) if a.recovered else 0.0
    budget = min(max(a.slo_budget_left, 0.0), 1.0)
    return 0.4 * recovered + 0.25 * (0.6 * in_time + 0.4 * spared) + 0.2 * precision + 0.15 * budget


@dataclass
class GradeBook:
    """Keeps the figures of a running episode."""

    config: WorldConfig
    budget: float = field(init=False)
    bad_customer_minutes: float = 0.0
    affected: set[int] = field(default_factory=set)
    wrong_actions: int = 0
    mitigated_at_tick: int | None = None
    _quiet_ticks: int = 0

    def __post_init__(self) -> None:
        self.budget = self.config.slo_budget

    def impact(self, ailing: list[tuple[int, float, float]], tick: int) -> float:
        """Adds the harm of one tick, from unhealthy services: (index, error rate, p99 seconds)."""
        harm = 0.0
        for index, error_rate, latency_s in ailing:
            self.affected.add(index)
            slow = min(1.0, max(0.0, (latency_s - 0.5) / 4.0))
            harm += _TICK_MINUTES * (error_rate + slow)
        self.bad_customer_minutes += harm
        # Mitigated at the first of two consecutive ticks without harm.
        self._quiet_ticks = 0 if harm or not self.affected else self._quiet_ticks + 1
        if self._quiet_ticks == 2 and self.mitigated_at_tick is None:
            self.mitigated_at_tick = tick - 1
        return harm

    def burn(self, amount: float) -> None:
        """Reduces the SLO budget."""
        self.budget = max(0.0, self.budget - amount)

    def final_score(self, still_ailing: set[int], tick: int) -> float:
        """The score if the episode ends at `tick`."""
        return grade_score(
            Accounts(
                affected=len(self.affected),
                recovered=len(self.affected - still_ailing),
                max_ticks=self.config.max_ticks,
                mitigated_at_tick=self.mitigated_at_tick,
                bad_customer_minutes=self.bad_customer_minutes if tick > _FIRST_TICK else math.inf,
                impact_scale=self.config.impact_scale,
                wrong_actions=self.wrong_actions,
                slo_budget_left=self.budget / self.config.slo_budget,
            )
        )
