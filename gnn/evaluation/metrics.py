"""How good rankings are: AC@k, Avg@5, MRR, calibration and their intervals; unscored is NaN, never zero."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from gnn.ranker import Ranking

Floats = npt.NDArray[np.float64]

DEPTH = 5  # AC@1 … AC@5

# Every measure that is averaged, compared and written, by its name in result files: its title, what it says.
MEASURES: Mapping[str, tuple[str, str]] = {
    "ac@1": ("AC@1", "share of cases with a root cause ranked first"),
    "ac@3": ("AC@3", "share with a root cause among the first three"),
    "ac@5": ("AC@5", "share with a root cause among the first five"),
    "avg@5": ("Avg@5", "mean of AC@1 … AC@5"),
    "mrr": ("MRR", "mean of 1/rank of the first root cause"),
}


@dataclass(frozen=True)
class CaseScore:
    """The measures of one ranking; all NaN when the root cause is not known."""

    ac: tuple[float, ...]  # AC@1 … AC@5: the chance, over the order of ties, of a root among the first k
    mrr: float  # expected 1/rank of the first root cause
    chance: tuple[float, ...]  # AC@1 … AC@5 of a random order
    confidence: float = math.nan  # the probability claimed for the first candidate; NaN when none is claimed

    @property
    def is_scored(self) -> bool:
        """Whether there was a root cause to find."""
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

    Ranks are strict and ties are broken in expectation. A root cause that the ranking does not list, or lists
    with a score of NaN, is not found; so an empty ranking is a miss. Without root causes there is nothing to
    score.
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
    """The chance that a root cause is among the first 1, 2, … up to where it is certain; [] if none is."""
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
    """The chance that `drawn` of `among` things, drawn at random, hold at least one of the `wanted`."""
    return 1.0 - math.comb(among - wanted, drawn) / math.comb(among, drawn)


class Bin(NamedTuple):
    """One bar of a reliability plot."""

    lower: float
    upper: float
    n: int
    confidence: float  # mean claimed probability
    accuracy: float  # share that was right


def reliability(confidence: Sequence[float], correct: Sequence[float], bins: int = 10) -> tuple[Bin, ...]:
    """Claimed against observed, in bins of equal width; empty bins and pairs with a NaN are left out."""
    claimed, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    usable = ~(np.isnan(claimed) | np.isnan(right))
    claimed, right = claimed[usable], right[usable]
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.clip(np.digitize(claimed, edges) - 1, 0, bins - 1)
    return tuple(
        Bin(
            float(edges[b]),
            float(edges[b + 1]),
            int((index == b).sum()),
            float(claimed[index == b].mean()),
            float(right[index == b].mean()),
        )
        for b in np.unique(index).tolist()
    )


def expected_calibration_error(bars: Sequence[Bin]) -> float:
    """Mean distance of claimed from observed, weighted by the number of claims; NaN without claims."""
    total = sum(bar.n for bar in bars)
    return sum(bar.n * abs(bar.confidence - bar.accuracy) for bar in bars) / total if total else math.nan


class RiskPoint(NamedTuple):
    """What answering only above a confidence costs and saves."""

    threshold: float
    coverage: float  # share of cases answered
    risk: float  # share of the answered that are wrong


def risk_coverage(confidence: Sequence[float], correct: Sequence[float]) -> tuple[RiskPoint, ...]:
    """Risk at every coverage, from the most confident answer to all; pairs with a NaN are left out."""
    pairs = sorted(
        ((c, r) for c, r in zip(confidence, correct, strict=True) if not math.isnan(c) and not math.isnan(r)),
        reverse=True,
    )
    points, wrong = [], 0.0
    for answered, (threshold, right) in enumerate(pairs, start=1):
        wrong += 1.0 - right
        if answered == len(pairs) or pairs[answered][0] < threshold:  # equals are answered together
            points.append(RiskPoint(threshold, answered / len(pairs), wrong / answered))
    return tuple(points)


class Abstention(NamedTuple):
    """What a ranker's own "unsure" costs and saves."""

    answered: int  # cases in which it was not unsure
    coverage: float  # their share of all; NaN without any case
    risk: float  # share of the answered that are wrong; NaN when nothing was answered
    risk_unsure: float  # share of the others in which its best guess is wrong; NaN when it never was unsure


def abstention(unsure: Sequence[bool], correct: Sequence[float]) -> Abstention:
    """Counts right and wrong apart for where the ranker was sure and unsure; a NaN is left out."""
    pairs = [(u, 1.0 - c) for u, c in zip(unsure, correct, strict=True) if not math.isnan(c)]
    sure = [wrong for u, wrong in pairs if not u]
    coverage = len(sure) / len(pairs) if pairs else math.nan
    return Abstention(len(sure), coverage, _mean(sure), _mean([wrong for u, wrong in pairs if u]))


def interval(
    values: Sequence[float], clusters: Sequence[object] | None = None, *, seed: int = 0, resamples: int = 2000
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of `values`, NaN left out; NaN below two clusters.

    Args:
        clusters: what belongs together, one label a value: whole clusters are drawn. None: each on its own.
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
    """As `interval`, of values between 0 and 1; where all are 1, or all 0, exact instead of without width.

    No draw from fifteen hits holds a miss; after Clopper and Pearson (Biometrika, 1934) the truth may still
    be as low as the chance at which so many hits in a row would happen once in forty times.
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


@dataclass(frozen=True)
class Summary:
    """The measures of many rankings, means over the scored ones."""

    n: int
    unscored: int
    means: dict[str, float]  # of each of `CaseScore.measures`
    chance: tuple[float, ...]
    ece: float
    ci95: dict[str, tuple[float, float]]


def summarise(
    scores: Sequence[CaseScore], clusters: Sequence[object] | None = None, *, seed: int = 0
) -> Summary:
    """Means and intervals of `scores`; with nothing scored every measure is NaN."""
    labels = list(range(len(scores))) if clusters is None else list(clusters)
    scored = [(s, label) for s, label in zip(scores, labels, strict=True) if s.is_scored]
    kept, kept_labels = [s for s, _ in scored], [label for _, label in scored]
    columns = {name: [s.measures[name] for s in kept] for name in MEASURES}
    return Summary(
        n=len(kept),
        unscored=len(scores) - len(kept),
        means={name: _mean(values) for name, values in columns.items()},
        chance=tuple(_mean([s.chance[k] for s in kept]) for k in range(DEPTH)),
        ece=expected_calibration_error(reliability([s.confidence for s in kept], columns["ac@1"])),
        ci95={name: share_interval(values, kept_labels, seed=seed) for name, values in columns.items()},
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
