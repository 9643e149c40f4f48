"""The records of an evaluation, which `evaluate --json` writes and reports read."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# NaN if nothing was scored; files, which have no NaN, say null.
Figure = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
Bounds = tuple[Figure, Figure]


class ResultRecord(BaseModel):
    """A part of a result file; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    def record(self) -> dict[str, Any]:
        """The record by the file's names, with only the fields that are set; NaN is left for the writer."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Measures(ResultRecord):
    """Ranking measures over some cases."""

    n: int = 0
    unscored: int = 0
    ac1: Figure = Field(default=math.nan, alias="ac@1")
    ac3: Figure = Field(default=math.nan, alias="ac@3")
    ac5: Figure = Field(default=math.nan, alias="ac@5")
    avg5: Figure = Field(default=math.nan, alias="avg@5")
    mrr: Figure = math.nan
    ece: Figure = math.nan
    chance: dict[str, Figure] = Field(default_factory=dict)  # AC@k of a random order
    ci95: dict[str, Bounds] = Field(default_factory=dict)

    def value(self, measure: str) -> float:
        """One of the measures, by its name in the file."""
        found: float = self.model_dump(by_alias=True)[measure]
        return found


class Bar(ResultRecord):
    """One bar of a reliability plot."""

    lower: float = math.nan
    upper: float = math.nan
    n: int
    confidence: float  # mean claimed probability
    accuracy: float  # share that was right


class RiskPoint(ResultRecord):
    """The effect of answering only above a confidence."""

    threshold: float
    coverage: float  # share of cases answered
    risk: float  # share of the answered that are wrong


class Abstention(ResultRecord):
    """The effect of not answering when the ranker is unsure."""

    unsure_below: float
    answered: int = 0  # scored cases in which it was sure
    coverage: Figure = math.nan  # their share of all scored cases
    risk: Figure = math.nan  # share of these that are wrong
    risk_unsure: Figure = math.nan  # share of the other cases in which its best guess is wrong
    ci95: dict[str, Bounds] = Field(default_factory=dict)


class _Ranked(ResultRecord):
    """What was ranked, and by whom."""

    source: str
    ranker: str
    checkpoint: str | None = None


class RankerResult(Measures, _Ranked):
    """The results of one ranker on one source, over all cases and by kind of case."""

    by_tick: dict[str, Measures] = Field(default_factory=dict)
    by_difficulty: dict[str, Measures] = Field(default_factory=dict)
    by_fault: dict[str, Measures] = Field(default_factory=dict)
    by_services: dict[str, Measures] = Field(default_factory=dict)
    reliability: tuple[Bar, ...] = ()
    risk_coverage: tuple[RiskPoint, ...] = ()
    abstention: Abstention | None = None  # None if the ranker is never unsure
    ms_per_ranking: Figure = math.nan


class EvaluationResult(ResultRecord):
    """The JSON of `evaluate`."""

    results: tuple[RankerResult, ...]
    config: dict[str, Any] = Field(default_factory=dict)
    unmapped_metrics: tuple[str, ...] = ()
    git: str | None = None
