"""Measures of rankings: AC@k, Avg@5, MRR, calibration, and their intervals; unscored is NaN, never zero."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from data.arrays import Floats
from gnn.evaluation.results import Abstention, Bar, Figure, Measures, RiskPoint
from gnn.ranker import Ranking

DEPTH = 5  # AC@1 … AC@5
_BARS = 10  # of the reliability

# The measures by their names in result files: title and meaning.
MEASURES: Mapping[str, tuple[str, str]] = {
    "ac@1": ("AC@1", "share of cases with a root cause ranked first"),
    "ac@3": ("AC@3", "share with a root cause among the first three"),
    "ac@5": ("AC@5", "share with a root cause among the first five"),
    "avg@5": ("Avg@5", "mean of AC@1 … AC@5"),
    "mrr": ("MRR", "mean of 1/rank of the first root cause"),
}


@dataclass(frozen=True)
class CaseScore:
    """The measures of one ranking; all NaN if the root cause is unknown."""

    ac: tuple[Figure, ...]  # AC@1 … AC@5: the chance, over random tie breaks, of a root among the first k
    mrr: Figure  # expected 1/rank of the first root cause
    chance: tuple[Figure, ...]  # AC@1 … AC@5 of a random order
    confidence: Figure = math.nan  # the first candidate's probability; NaN if the ranker gives none

    @property
    def is_scored(self) -> bool:
        """Whether the root cause is known."""
        return not math.isnan(self.mrr)

    @property
    def avg5(self) -> float:
        """The mean of AC@1 … AC@5."""
        return sum(self.ac) / DEPTH

    @property
    def measures(self) -> dict[str, float]:
        """The value of each of `MEASURES`."""
        return dict(zip(MEASURES, (self.ac[0], self.ac[2], self.ac[4], self.avg5, self.mrr), strict=True))


UNSCORED = CaseScore((math.nan,) * DEPTH, math.nan, (math.nan,) * DEPTH)


def score_ranking(ranking: Ranking, n_services: int, root_causes: Collection[str]) -> CaseScore:
    """Scores one ranking of `n_services` services.

    Ties count in expectation over random tie breaks. A root cause that is missing in the ranking, or has a
    score of NaN, is not found, so an empty ranking is a miss. Without root causes there is nothing to score.
    """
    if not root_causes:
        return UNSCORED
    found = _first_root_by(ranking, frozenset(root_causes))
    ac = tuple(found[min(k, len(found)) - 1] if found else 0.0 for k in range(1, DEPTH + 1))
    mrr = sum(
        (now - before) / rank for rank, (before, now) in enumerate(zip([0.0, *found], found, strict=False), 1)
    )
    known = min(len(set(root_causes)), n_services)
    chance = tuple(_any_of(known, n_services, min(k, n_services)) for k in range(1, DEPTH + 1))
    first = ranking.candidates[0].probability if ranking.candidates else None
    return CaseScore(ac, mrr, chance, math.nan if first is None else first)


def _first_root_by(ranking: Ranking, root_causes: frozenset[str]) -> list[float]:
    """The chance that a root cause is among the first 1, 2, …, until it is 1; [] if there is none."""
    is_root = {c.service: c.service in root_causes for c in ranking.candidates if not math.isnan(c.score)}
    scores = {c.service: c.score for c in ranking.candidates if c.service in is_root}
    best = max((scores[service] for service in scores if is_root[service]), default=None)
    if best is None:
        return []
    higher = sum(value > best for value in scores.values())
    tied = [service for service, value in scores.items() if value == best]
    roots = sum(is_root[service] for service in tied)
    certain = len(tied) - roots + 1
    return [0.0] * higher + [_any_of(roots, len(tied), drawn) for drawn in range(1, certain + 1)]


def _any_of(wanted: int, among: int, drawn: int) -> float:
    """The chance that `drawn` of `among` items, drawn at random, include one of the `wanted`."""
    return 1.0 - math.comb(among - wanted, drawn) / math.comb(among, drawn)


def reliability(confidence: Sequence[float], correct: Sequence[float]) -> tuple[Bar, ...]:
    """Claimed against observed probability, in equal bins; empty bins and pairs with NaN are left out."""
    claimed, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    usable = ~(np.isnan(claimed) | np.isnan(right))
    claimed, right = claimed[usable], right[usable]
    edges = np.linspace(0.0, 1.0, _BARS + 1)
    index = np.clip(np.digitize(claimed, edges) - 1, 0, _BARS - 1)
    return tuple(
        Bar(
            lower=float(edges[b]),
            upper=float(edges[b + 1]),
            n=int((index == b).sum()),
            confidence=float(claimed[index == b].mean()),
            accuracy=float(right[index == b].mean()),
        )
        for b in np.unique(index).tolist()
    )


def expected_calibration_error(bars: Sequence[Bar]) -> float:
    """The mean difference of claimed and observed, weighted by the number of claims; NaN without claims."""
    total = sum(bar.n for bar in bars)
    return sum(bar.n * abs(bar.confidence - bar.accuracy) for bar in bars) / total if total else math.nan


def risk_coverage(confidence: Sequence[float], correct: Sequence[float]) -> tuple[RiskPoint, ...]:
    """The risk at every coverage, from the most confident answer to all; pairs with NaN are left out."""
    pairs = sorted(
        ((c, r) for c, r in zip(confidence, correct, strict=True) if not math.isnan(c) and not math.isnan(r)),
        reverse=True,
    )
    points, wrong = [], 0.0
    for answered, (threshold, right) in enumerate(pairs, start=1):
        wrong += 1.0 - right
        if answered == len(pairs) or pairs[answered][0] < threshold:  # equal confidences belong together
            coverage, risk = answered / len(pairs), wrong / answered
            points.append(RiskPoint(threshold=threshold, coverage=coverage, risk=risk))
    return tuple(points)


def abstention(
    unsure_below: float,
    unsure: Sequence[bool],
    correct: Sequence[float],
    clusters: Sequence[object],
    *,
    seed: int = 0,
) -> Abstention:
    """Coverage and risk where the ranker was sure and where it was unsure; NaN values are left out."""
    cases = zip(unsure, correct, clusters, strict=True)
    scored = [(u, 1.0 - right, cluster) for u, right, cluster in cases if not math.isnan(right)]
    sure = [(wrong, cluster) for u, wrong, cluster in scored if not u]
    wrong_when_sure = [wrong for wrong, _ in sure]
    return Abstention(
        unsure_below=unsure_below,
        answered=len(sure),
        coverage=len(sure) / len(scored) if scored else math.nan,
        risk=_mean(wrong_when_sure),
        risk_unsure=_mean([wrong for u, wrong, _ in scored if u]),
        ci95={"risk": share_interval(wrong_when_sure, [cluster for _, cluster in sure], seed=seed)},
    )


def interval(
    values: Sequence[float], clusters: Sequence[object] | None = None, *, seed: int = 0, resamples: int = 2000
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of `values`, without NaN; NaN below two clusters.

    Args:
        clusters: the cluster of each value; whole clusters are resampled. None: each value by itself.
    """
    labels = range(len(values)) if clusters is None else clusters
    sums: dict[object, tuple[float, int]] = {}
    for label, value in zip(labels, values, strict=True):
        if not math.isnan(value):
            total, n = sums.get(label, (0.0, 0))
            sums[label] = (total + value, n + 1)
    if len(sums) < 2:
        return math.nan, math.nan
    totals, counts = (np.array(column, dtype=float) for column in zip(*sums.values(), strict=True))
    result = stats.bootstrap(
        (totals, counts),
        _ratio,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(result.low), float(result.high)


def share_interval(
    values: Sequence[float], clusters: Sequence[object] | None = None, *, seed: int = 0
) -> tuple[float, float]:
    """Like `interval`, for values between 0 and 1; exact if all are 1 or all are 0.

    In that case the bootstrap would give an empty interval; the exact one is Clopper and Pearson's
    (Biometrika, 1934).
    """
    known = {value for value in values if not math.isnan(value)}
    if known not in ({0.0}, {1.0}):
        return interval(values, clusters, seed=seed)
    labels = range(len(values)) if clusters is None else clusters
    trials = len({label for label, value in zip(labels, values, strict=True) if not math.isnan(value)})
    least = 0.025 ** (1.0 / trials)
    return (least, 1.0) if known == {1.0} else (0.0, 1.0 - least)


def _ratio(totals: Floats, counts: Floats, axis: int) -> Floats:
    return np.asarray(totals.sum(axis=axis) / counts.sum(axis=axis))


def summarise(
    scores: Sequence[CaseScore], clusters: Sequence[object] | None = None, *, seed: int = 0
) -> Measures:
    """Means and intervals of `scores`; all NaN if nothing was scored."""
    labels = list(range(len(scores))) if clusters is None else list(clusters)
    scored = [(s, label) for s, label in zip(scores, labels, strict=True) if s.is_scored]
    kept, kept_labels = [s for s, _ in scored], [label for _, label in scored]
    columns = {name: [s.measures[name] for s in kept] for name in MEASURES}
    return Measures(
        n=len(kept),
        unscored=len(scores) - len(kept),
        **{name: _mean(values) for name, values in columns.items()},
        chance={f"ac@{k}": _mean([s.chance[k - 1] for s in kept]) for k in (1, 3, 5)},
        ece=expected_calibration_error(reliability([s.confidence for s in kept], columns["ac@1"])),
        ci95={name: share_interval(values, kept_labels, seed=seed) for name, values in columns.items()},
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
