"""The records of an ablation, which `ablate` writes, continues from and compares, and reports read."""

import math
from typing import Any

from pydantic import Field, computed_field

from agent.records.lines import Key
from gnn.evaluation.results import Bounds, Figure, Measures, RankerResult, ResultRecord

FORMAT = 1
ALPHA = 0.05


class FirstValues(ResultRecord):
    """The measures of each episode's first observation and of each incident, for paired comparisons."""

    clusters: tuple[str, ...]
    kinds: tuple[str, ...]
    ac1: tuple[Figure, ...] = Field(alias="ac@1")
    ac3: tuple[Figure, ...] = Field(alias="ac@3")
    avg5: tuple[Figure, ...] = Field(alias="avg@5")
    mrr: tuple[Figure, ...]


class RankedSource(RankerResult):
    """The results of one ranker on one source, as an ablation keeps them until it ends."""

    first: FirstValues


class RankingsLine(ResultRecord):
    """One line of an ablation's rankings.jsonl: the results of one ranker on what it was asked to rank."""

    ranker: str
    asked: str
    results: tuple[RankedSource, ...]


class ComparedRanker(RankerResult):
    """The results of one ranker on one source in the result of an ablation."""

    lift: Figure = math.nan  # AC@1 divided by that of a random order


class ArmMeans(ResultRecord):
    """An arm's means over some episodes."""

    n: int
    ungraded: int = 0
    score: Figure = math.nan
    solved: Figure = math.nan
    steps: Figure = math.nan
    ticks_to_mitigation: Figure = math.nan
    wrong_remedies: Figure = math.nan
    slo_budget_left: Figure = math.nan
    fallback_rate: Figure = math.nan
    tokens: Figure = math.nan
    cost_usd: Figure = math.nan
    seconds: Figure = math.nan
    ci95: dict[str, Bounds] = Field(default_factory=dict)


class _Arm(ResultRecord):
    arm: str
    ranker: str
    policy: str


class ArmResult(ArmMeans, _Arm):
    """One arm of an ablation."""

    first_ranking: Measures = Measures()
    hint_use: dict[str, int] = Field(default_factory=dict)
    decisions: dict[str, int] = Field(default_factory=dict)
    by_difficulty: dict[str, ArmMeans] = Field(default_factory=dict)
    by_fault: dict[str, ArmMeans] = Field(default_factory=dict)
    by_services: dict[str, ArmMeans] = Field(default_factory=dict)


class Comparison(ResultRecord):
    """The difference between `arm` and `reference` in one measure (arm minus reference)."""

    of: str = "episodes"  # or the source that was ranked
    measure: str
    reference: str
    arm: str
    n: int  # pairs with scores on both sides
    unscored: int = 0  # pairs without a score on one side or both
    unpaired: int = 0  # keys on one side only
    clusters: int = 0
    reference_mean: Figure = math.nan
    arm_mean: Figure = math.nan
    difference: Figure = math.nan
    ci95: Bounds = (math.nan, math.nan)  # of the difference, resampling whole clusters
    test: str = ""  # "wilcoxon" | "mcnemar"
    p: Figure = math.nan
    effect: Figure = math.nan
    effect_name: str = ""
    # `p` after Holm's correction; the same as `p` for a single comparison.
    p_holm: Figure = math.nan

    @property
    def is_shown(self) -> bool:
        """Whether the corrected test is significant and the interval excludes 0."""
        low, high = self.ci95
        return self.p_holm < ALPHA and (low > 0 or high < 0)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> str:
        """The result in a few words."""
        if not self.is_shown:
            return "no difference shown"
        return "higher" if self.difference > 0 else "lower"


class Block(ResultRecord):
    """The values of arms on tasks, or of rankers on cases: values[name][measure], one per key."""

    keys: tuple[Key, ...] = ()
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()  # of rankings: each key's difficulty, or ""
    values: dict[str, dict[str, tuple[Figure, ...]]] = Field(default_factory=dict)


class Values(ResultRecord):
    """The values behind the comparisons."""

    episodes: Block = Block()
    rankings: dict[str, Block] = Field(default_factory=dict)  # by source


class AblationResult(ResultRecord):
    """The JSON of `ablate`; the first arm of a policy is the reference for the others."""

    format: int = FORMAT
    config: dict[str, Any] = Field(default_factory=dict)
    weights_sha256: dict[str, str] = Field(default_factory=dict)
    git: str | None = None
    versions: dict[str, Any] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    arms: tuple[ArmResult, ...] = ()
    results: tuple[ComparedRanker, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    values: Values = Values()
