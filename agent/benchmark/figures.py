"""Computes the means, intervals and comparisons of an ablation."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from agent.benchmark.arms import Arm
from agent.benchmark.hint_use import ArmEpisode, hint_use
from agent.benchmark.pairs import episode_comparisons, episode_values, ranking_comparisons, ranking_values
from agent.benchmark.plan import Played
from agent.benchmark.results import AblationResult, ArmMeans, ArmResult, ComparedRanker, RankedSource, Values
from gnn.evaluation.metrics import interval, summarise
from gnn.evaluation.results import Measures

_Measure = Callable[[ArmEpisode], float]


def _if_graded(read: _Measure) -> _Measure:
    """The measure, or NaN without a score, because an early failure would look cheap."""
    return lambda e: math.nan if e.score is None else read(e)


_READ: Mapping[str, _Measure] = {
    "score": lambda e: _number(e.score),
    "solved": lambda e: float(e.success),
    "steps": lambda e: float(e.steps),
    "ticks_to_mitigation": lambda e: _number(e.mitigated_at_tick),
    "wrong_remedies": lambda e: float(e.wrong_actions),
    "slo_budget_left": lambda e: _number(e.slo_budget_left),
    "fallback_rate": lambda e: e.fallbacks / e.steps if e.steps else math.nan,
    "tokens": lambda e: float(e.tokens["prompt"] + e.tokens["completion"]),
    "cost_usd": lambda e: float(e.cost_usd),
    "seconds": lambda e: float(e.seconds),
}
# Reads each measure from an episode; NaN if there is nothing to score.
MEASURES: Mapping[str, _Measure] = {name: _if_graded(read) for name, read in _READ.items()}
_WITH_INTERVALS = ("score", "solved", "wrong_remedies")
_IN_GROUPS = ("score", "solved", "ticks_to_mitigation", "wrong_remedies")
_RISK_POINTS = 40


def figures(arms: Sequence[Played], rankings: Sequence[RankedSource], seed: int) -> AblationResult:
    """The result of an ablation.

    Args:
        arms: grouped by policy; the first arm of a policy is the reference for its others, and the first of
            all is the reference for the policies.
        rankings: of each ranker on each source; the first ranker of a source is the reference.
        seed: of the bootstrap.
    """
    values = Values(episodes=episode_values(arms, MEASURES), rankings=ranking_values(rankings))
    played = {"arms": [_arm(each, _without_hints(each, arms), seed) for each in arms]} if arms else {}
    return AblationResult(
        **played,
        results=[_ranking(entry) for entry in rankings],
        comparisons=(
            *episode_comparisons(values.episodes, [each.arm for each in arms], seed),
            *ranking_comparisons(values.rankings, seed),
        ),
        values=values,
    )


def _without_hints(of: Played, arms: Sequence[Played]) -> Sequence[ArmEpisode]:
    """The episodes of the same policy without hints, if any."""
    return next((a.episodes for a in arms if a.arm == Arm("none", of.arm.policy) and a.arm != of.arm), ())


def _arm(played: Played, without: Sequence[ArmEpisode], seed: int) -> ArmResult:
    arm, episodes = played.arm, played.episodes
    return ArmResult(
        arm=arm.name,
        ranker=arm.ranker,
        policy=arm.policy,
        **_means(episodes, MEASURES, _WITH_INTERVALS, seed).record(),
        first_ranking=_first_ranking(episodes, seed),
        hint_use=hint_use(episodes, without),
        decisions=sum((Counter(e.decisions) for e in episodes), Counter()),
        by_difficulty=_grouped(episodes, lambda e: e.difficulty, seed),
        by_fault=_grouped(episodes, lambda e: e.fault, seed),
        by_services=_grouped(episodes, lambda e: str(e.services), seed),
    )


def _means(
    episodes: Sequence[ArmEpisode], measures: Iterable[str], intervals: Iterable[str], seed: int
) -> ArmMeans:
    """Means over scored episodes; intervals resample whole call graphs."""
    means, bounds = {}, {}
    for name in measures:
        values = [(MEASURES[name](e), e.topology) for e in episodes]
        kept = [(value, cluster) for value, cluster in values if not math.isnan(value)]
        means[name] = fmean(value for value, _ in kept) if kept else math.nan
        if name in intervals:
            bounds[name] = interval([value for value, _ in kept], [cluster for _, cluster in kept], seed=seed)
    ungraded = sum(e.score is None for e in episodes)
    return ArmMeans(n=len(episodes), ungraded=ungraded, **means, ci95=bounds)


def _grouped(
    episodes: Sequence[ArmEpisode], kind: Callable[[ArmEpisode], str], seed: int
) -> dict[str, ArmMeans]:
    """The main measures per kind of episode; episodes without a kind ("") are left out."""
    kinds = sorted({kind(e) for e in episodes} - {""}, key=lambda k: (len(k), k))
    return {k: _means([e for e in episodes if kind(e) == k], _IN_GROUPS, ("score",), seed) for k in kinds}


def _first_ranking(episodes: Sequence[ArmEpisode], seed: int) -> Measures:
    """The measures of the first ranking of each episode, if it had one."""
    seen = [(e.first_ranking, e.topology) for e in episodes if e.first_ranking is not None]
    return summarise([score for score, _ in seen], [topology for _, topology in seen], seed=seed)


def _ranking(entry: RankedSource) -> ComparedRanker:
    """A ranker's result with its lift over chance, and with a thinned-out risk curve."""
    chance = entry.chance["ac@1"]
    every = max(1, math.ceil(len(entry.risk_coverage) / _RISK_POINTS))
    told = {name: getattr(entry, name) for name in entry.model_fields_set - {"first"}}
    told["lift"] = entry.ac1 / chance if chance else math.nan
    told["risk_coverage"] = entry.risk_coverage[::-1][::every][::-1]
    return ComparedRanker(**told)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
