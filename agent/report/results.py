"""The fields of result files that reports show; other fields are ignored."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agent.records.lines import RankingLine

Bounds = tuple[float | None, float | None]


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class RankedIncident(RankingLine):
    """The JSON of `rank` or `diagnose`."""

    incident: str = ""
    fault_kinds: dict[str, float] = Field(default_factory=dict)  # chances, if the first suspect is right
    notes: tuple[str, ...] = ()
    explanation: str = ""


class Measures(_Shown):
    """Ranking measures over some cases; None if nothing was scored."""

    n: int = 0
    unscored: int = 0
    ac1: float | None = Field(default=None, alias="ac@1")
    ac3: float | None = Field(default=None, alias="ac@3")
    ac5: float | None = Field(default=None, alias="ac@5")
    avg5: float | None = Field(default=None, alias="avg@5")
    mrr: float | None = None
    ece: float | None = None
    chance: dict[str, float | None] = Field(default_factory=dict)
    ci95: dict[str, Bounds] = Field(default_factory=dict)

    def value(self, measure: str) -> float | None:
        """One of the measures, by its name in the file."""
        found: float | None = self.model_dump(by_alias=True)[measure]
        return found


class Reliability(_Shown):
    """One bar of a reliability plot."""

    n: int
    confidence: float
    accuracy: float


class Risk(_Shown):
    """One point of a risk-coverage curve."""

    threshold: float
    coverage: float
    risk: float


class Abstaining(_Shown):
    """The effect of not answering when the ranker is unsure."""

    unsure_below: float
    answered: int = 0
    coverage: float | None = None
    risk: float | None = None
    risk_unsure: float | None = None
    ci95: dict[str, Bounds] = Field(default_factory=dict)


class RankerResult(Measures):
    """The results of one ranker on one source."""

    source: str
    ranker: str
    checkpoint: str | None = None
    by_tick: dict[str, Measures] = Field(default_factory=dict)
    by_difficulty: dict[str, Measures] = Field(default_factory=dict)
    by_fault: dict[str, Measures] = Field(default_factory=dict)
    by_services: dict[str, Measures] = Field(default_factory=dict)
    reliability: tuple[Reliability, ...] = ()
    risk_coverage: tuple[Risk, ...] = ()
    abstention: Abstaining | None = None
    ms_per_ranking: float | None = None


class EvaluationResult(_Shown):
    """The JSON of `evaluate`."""

    results: tuple[RankerResult, ...]
    config: dict[str, Any] = Field(default_factory=dict)
    git: str | None = None


class ArmMeans(_Shown):
    """An arm's means over some episodes; None if nothing was graded."""

    n: int
    ungraded: int = 0
    score: float | None = None
    solved: float | None = None
    steps: float | None = None
    ticks_to_mitigation: float | None = None
    wrong_remedies: float | None = None
    slo_budget_left: float | None = None
    fallback_rate: float | None = None
    tokens: float | None = None
    cost_usd: float | None = None
    seconds: float | None = None
    ci95: dict[str, Bounds] = Field(default_factory=dict)


class ArmResult(ArmMeans):
    """One arm of an ablation."""

    arm: str
    ranker: str
    policy: str
    first_ranking: Measures = Measures()
    hint_use: dict[str, int] = Field(default_factory=dict)
    decisions: dict[str, int] = Field(default_factory=dict)
    by_difficulty: dict[str, ArmMeans] = Field(default_factory=dict)
    by_fault: dict[str, ArmMeans] = Field(default_factory=dict)
    by_services: dict[str, ArmMeans] = Field(default_factory=dict)


class ComparisonResult(_Shown):
    """The difference between an arm and the reference."""

    of: str = "episodes"
    measure: str
    reference: str
    arm: str
    n: int
    unscored: int = 0
    difference: float | None = None
    ci95: Bounds = (None, None)
    test: str = ""
    p_holm: float | None = None
    effect: float | None = None
    verdict: str


class EpisodeValues(_Shown):
    """The values of every arm in every task: values[arm][measure], one per key."""

    keys: tuple[tuple[str, int], ...] = ()
    values: dict[str, dict[str, tuple[float | None, ...]]] = Field(default_factory=dict)


class Values(_Shown):
    """The values behind the comparisons."""

    episodes: EpisodeValues = EpisodeValues()


class AblationResult(_Shown):
    """The JSON of `ablate`; the first arm of a policy is the reference for the others."""

    arms: tuple[ArmResult, ...] = ()
    results: tuple[RankerResult, ...] = ()
    comparisons: tuple[ComparisonResult, ...] = ()
    values: Values = Values()
    config: dict[str, Any] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    git: str | None = None


def label_of(source: str) -> str:
    """The last two parts of a source's path."""
    parts = Path(source).parts
    return "/".join(parts[-2:])
