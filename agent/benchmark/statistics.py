"""Paired comparisons: the same tasks and seeds, clustered intervals, corrected tests, effect sizes."""

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from gnn.evaluation.metrics import interval

ALPHA = 0.05

# What two arms have in common, such as (task, seed).
Key = Hashable
Values = Mapping[Key, float]  # NaN: played, but there was nothing to score


@dataclass(frozen=True)
class Comparison:
    """What replacing `reference` by `arm` changed in one measure; `difference` is arm minus reference."""

    measure: str
    reference: str
    arm: str
    n: int  # pairs scored on both sides
    unscored: int  # pairs with nothing to score on one side or both
    unpaired: int  # keys that only one side has
    clusters: int
    reference_mean: float
    arm_mean: float
    difference: float
    ci95: tuple[float, float]  # of the difference, whole clusters redrawn
    test: str  # "wilcoxon" | "mcnemar"
    p: float
    effect: float
    effect_name: str
    # `p` after Holm's correction for all comparisons made together; as `p` for one alone.
    p_holm: float

    @property
    def is_shown(self) -> bool:
        """Whether a difference is shown: by the corrected test and by an interval that excludes 0."""
        low, high = self.ci95
        return self.p_holm < ALPHA and (low > 0 or high < 0)

    @property
    def verdict(self) -> str:
        """The result in words."""
        if not self.is_shown:
            return "no difference shown"
        return "higher" if self.difference > 0 else "lower"


def compare_pairs(
    measure: str,
    reference: tuple[str, Values],
    arm: tuple[str, Values],
    clusters: Mapping[Key, Hashable],
    *,
    binary: bool,
    seed: int = 0,
) -> Comparison:
    """Compares two arms on the keys that both have.

    Args:
        measure: its name, for the record.
        reference: name and values of what was there before.
        arm: name and values of what replaces it.
        clusters: for each key what it shares with others, such as `topology_of` its call graph; a key
            without an entry stands alone.
        binary: values are 0 or 1, such as "solved": McNemar's test; else Wilcoxon's signed ranks.
        seed: of the bootstrap.
    """
    shared = [key for key in reference[1] if key in arm[1]]
    scored = [key for key in shared if not math.isnan(reference[1][key]) and not math.isnan(arm[1][key])]
    before = [float(reference[1][key]) for key in scored]
    after = [float(arm[1][key]) for key in scored]
    differences = [b - a for a, b in zip(before, after, strict=True)]
    labels = [("cluster", clusters[key]) if key in clusters else ("key", key) for key in scored]
    p = _mcnemar(before, after) if binary else _wilcoxon(differences)
    return Comparison(
        measure=measure,
        reference=reference[0],
        arm=arm[0],
        n=len(scored),
        unscored=len(shared) - len(scored),
        unpaired=len(set(reference[1]) ^ set(arm[1])),
        clusters=len(set(labels)),
        reference_mean=_mean(before),
        arm_mean=_mean(after),
        difference=_mean(differences),
        ci95=interval(differences, labels, seed=seed),
        test="mcnemar" if binary else "wilcoxon",
        p=p,
        effect=_cohens_g(differences) if binary else _rank_biserial(differences),
        effect_name="Cohen's g" if binary else "rank-biserial correlation",
        p_holm=p,
    )


def corrected(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The comparisons, made together, with Holm's correction; those without a p-value stay without."""
    tested = [index for index, comparison in enumerate(comparisons) if not math.isnan(comparison.p)]
    result = list(comparisons)
    if tested:
        tested.sort(key=lambda index: comparisons[index].p)
        weighted = [comparisons[index].p * (len(tested) - place) for place, index in enumerate(tested)]
        for index, p_holm in zip(tested, np.maximum.accumulate(weighted), strict=True):
            result[index] = replace(comparisons[index], p_holm=min(1.0, float(p_holm)))
    return tuple(result)


def topology_of(call_graph: Mapping[str, Sequence[str]]) -> str:
    """A short name for a call graph, the same for the same services and calls in any order."""
    calls = sorted((caller, sorted(set(callees))) for caller, callees in call_graph.items())
    return hashlib.sha256(repr(calls).encode()).hexdigest()[:12]


def _wilcoxon(differences: Sequence[float]) -> float:
    """The p-value of the signed ranks; ties at 0 are ranked (Pratt) and so speak against a difference."""
    if not differences:
        return math.nan
    if not any(differences):
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)


def _mcnemar(before: Sequence[float], after: Sequence[float]) -> float:
    """The exact p-value of the pairs that changed."""
    if not before:
        return math.nan
    changed = [int(now) for was, now in zip(before, after, strict=True) if was != now]
    return float(stats.binomtest(sum(changed), len(changed)).pvalue) if changed else 1.0


def _rank_biserial(differences: Sequence[float]) -> float:
    """From -1 (every change is down) to 1 (every change is up), by ranks; NaN when nothing changed."""
    changed = np.array([difference for difference in differences if difference])
    if not changed.size:
        return math.nan
    ranks = stats.rankdata(np.abs(changed))
    return float((ranks * np.sign(changed)).sum() / ranks.sum())


def _cohens_g(differences: Sequence[float]) -> float:
    """From -0.5 (every change is down) to 0.5 (every change is up); NaN when nothing changed."""
    changed = [difference for difference in differences if difference]
    return sum(difference > 0 for difference in changed) / len(changed) - 0.5 if changed else math.nan


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
