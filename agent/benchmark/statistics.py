"""Paired comparisons with clustered intervals, corrected tests and effect sizes."""

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from scipy import stats

from agent.benchmark.results import Comparison
from gnn.evaluation.metrics import interval

# Identifies a pair, such as (task, seed).
Key = Hashable
Values = Mapping[Key, float]  # NaN: played, but nothing to score


def compare_pairs(
    measure: str,
    reference: tuple[str, Values],
    arm: tuple[str, Values],
    clusters: Mapping[Key, Hashable],
    *,
    binary: bool,
    of: str = "episodes",
    seed: int = 0,
) -> Comparison:
    """Compares two arms on the keys that both have.

    Args:
        measure: its name.
        reference: its name and values.
        arm: its name and values.
        clusters: the cluster of each key, such as `topology_of` its call graph; a key without an entry is
            its own cluster.
        binary: values are 0 or 1, such as "solved": McNemar's test, else Wilcoxon's signed ranks.
        of: "episodes", or the source that was ranked.
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
        of=of,
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
    """Applies Holm's correction to all comparisons that have a p-value."""
    tested = [index for index, comparison in enumerate(comparisons) if not math.isnan(comparison.p)]
    result = list(comparisons)
    if tested:
        tested.sort(key=lambda index: comparisons[index].p)
        weighted = [comparisons[index].p * (len(tested) - place) for place, index in enumerate(tested)]
        for index, p_holm in zip(tested, np.maximum.accumulate(weighted), strict=True):
            result[index] = comparisons[index].model_copy(update={"p_holm": min(1.0, float(p_holm))})
    return tuple(result)


def topology_of(call_graph: Mapping[str, Sequence[str]]) -> str:
    """A hash of a call graph, independent of the order of services and calls."""
    calls = sorted((caller, sorted(set(callees))) for caller, callees in call_graph.items())
    return hashlib.sha256(repr(calls).encode()).hexdigest()[:12]


def _wilcoxon(differences: Sequence[float]) -> float:
    """The p-value of the signed ranks; zeros are ranked, too (Pratt)."""
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
    """From -1 (all changes down) to 1 (all up), by ranks; NaN without changes."""
    changed = np.array([difference for difference in differences if difference])
    if not changed.size:
        return math.nan
    ranks = stats.rankdata(np.abs(changed))
    return float((ranks * np.sign(changed)).sum() / ranks.sum())


def _cohens_g(differences: Sequence[float]) -> float:
    """From -0.5 (all changes down) to 0.5 (all up); NaN without changes."""
    changed = [difference for difference in differences if difference]
    return sum(difference > 0 for difference in changed) / len(changed) - 0.5 if changed else math.nan


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
