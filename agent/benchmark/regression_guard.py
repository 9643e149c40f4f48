"""Checks a new result against an earlier one, with conditions such as "ac@1 < -0.02"."""

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.benchmark.pairs import KEPT, RANKED, compared
from agent.benchmark.results import AblationResult, Block, Comparison, Values
from data.errors import SettingsError

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CONDITION = re.compile(r"\s*(\S+?)\s*(<=|>=|<|>)\s*([-+]?\d*\.?\d+)\s*")


@dataclass(frozen=True)
class Condition:
    """A condition on the new value minus the old one that means failure."""

    measure: str
    operator: str
    bound: float

    def is_met(self, difference: float) -> bool:
        """Whether the difference meets the condition."""
        return bool(_COMPARE[self.operator](difference, self.bound))

    def __str__(self) -> str:
        return f"{self.measure} {self.operator} {self.bound:g}"


@dataclass(frozen=True)
class Finding:
    """One arm or ranker under one condition."""

    condition: Condition
    comparison: Comparison

    @property
    def fails(self) -> bool:
        """Whether the condition is met."""
        return self.condition.is_met(self.comparison.difference)

    def __str__(self) -> str:
        c = self.comparison
        return (
            f"{c.arm} on {c.of}: {c.measure} {c.reference_mean:.3f} → {c.arm_mean:.3f} "
            f"({c.difference:+.3f}, 95 % {c.ci95[0]:+.3f} to {c.ci95[1]:+.3f}, {c.n} pairs): {c.verdict}"
        )


def read_condition(text: str) -> Condition:
    """Parses a condition such as "ac@1 < -0.02".

    Raises:
        SettingsError: not a condition, or an unknown measure.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise SettingsError(f"--fail-if '{text}': write MEASURE < NUMBER, such as 'ac@1 < -0.02'")
    measure, sign, bound = match.groups()
    if measure not in (*KEPT, *RANKED):
        known = ", ".join((*KEPT, *RANKED))
        raise SettingsError(f"--fail-if '{text}': there is no measure '{measure}' – choose from {known}")
    return Condition(measure, sign, float(bound))


def check_regressions(
    before: AblationResult, after: AblationResult, conditions: Iterable[Condition], seed: int = 0
) -> list[Finding]:
    """Checks every condition on every arm and ranker that both results have.

    Raises:
        SettingsError: the results have nothing in common for a condition.
    """
    findings = []
    for condition in conditions:
        of_condition = [
            Finding(condition, compared(old, condition.measure, name, new, name, seed, of))
            for of, old, new in _common_blocks(before.values, after.values, condition.measure)
            for name in old.values
            if name in new.values
        ]
        scored = [finding for finding in of_condition if finding.comparison.n]
        if not scored:
            raise SettingsError(f"--fail-if '{condition}': the two results share no task or case that has it")
        findings += scored
    return findings


def _common_blocks(before: Values, after: Values, measure: str) -> Sequence[tuple[str, Block, Block]]:
    if measure in KEPT:
        return [("episodes", before.episodes, after.episodes)]
    old, new = before.rankings, after.rankings
    return [(source, old[source], new[source]) for source in old if source in new]
