"""The card of a checkpoint: how it was made, and the hashes of its files."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gnn.features.featurize import FEATURE_VERSION, SERVICE_FEATURES
from gnn.network.softmax import Doubt
from gnn.per_system.system_ensemble import Pool
from gnn.probe import Probe

FORMAT_VERSION = 2


class Start(BaseModel):
    """The checkpoint that a training started from, as its card describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    git: str | None = None
    trained_on: dict[str, int] = {}
    training: dict[str, Any] = {}
    start: "Start | None" = None  # what that checkpoint had started from

    @staticmethod
    def of(card: "Card") -> "Start":
        """The start that `card` describes."""
        return Start(git=card.git, trained_on=card.trained_on, training=card.training, start=card.start)


class Effort(BaseModel):
    """The time and machine that a training took."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # From the first incident to choosing the weights; since the last interruption only.
    seconds: float
    device: str
    processes: int = 1
    incidents_per_s: float | None = None  # over all passes, including folds; None without any


class Shape(BaseModel):
    """The part of the network's shape that ranking needs; the rest is in `ModelConfig`, which needs torch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    families: tuple[str, ...] = ()


class Card(BaseModel):
    """The contents of `checkpoint.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    feature_version: int = FEATURE_VERSION
    features: tuple[str, ...] = SERVICE_FEATURES
    model: dict[str, Any]
    training: dict[str, Any] = {}
    # Source → number of training examples.
    trained_on: dict[str, int] = {}
    # None: trained from fresh weights, or the card is older than this field.
    start: Start | None = None
    # Marks of the incidents used for training or for choosing the epoch or temperature (`gnn.seen`).
    seen: tuple[str, ...] = ()
    # The only field that differs when the same training is repeated.
    effort: Effort | None = None
    metrics: dict[str, Any] = {}
    # Softmax temperature per mode of evidence, fitted on held-out data.
    temperature: dict[str, Annotated[float, Field(gt=0, lt=1e6)]] = {}
    # Exponents by which the temperature rises, see `gnn.network.softmax.Doubt`.
    alert_doubt: float = Field(default=0.0, ge=-10, le=10)
    trouble_doubt: float = Field(default=0.0, ge=-10, le=10)
    spread_doubt: float = Field(default=0.0, ge=-10, le=10)
    # The ranker is unsure if its first candidate is less probable than this.
    unsure_below: float = Field(default=0.0, ge=0, le=1)
    # Weights of the network, trees and alert frequencies, if it was fitted to one system.
    pool: Pool | None = None
    # Unlabelled past incidents behind the alert frequencies: source → number of incidents.
    history: dict[str, int] = {}
    # Whether the folder has its own rules for metric names (`RULES`).
    own_rules: bool = False
    git: str | None = None
    # The SHA-256 of every other file, and the network's scores of a made-up graph.
    files: dict[str, str] = {}
    probe: Probe | None = None

    @property
    def doubt(self) -> Doubt:
        """How sure to be."""
        doubts = (self.alert_doubt, self.trouble_doubt, self.spread_doubt)
        return Doubt(self.temperature, *doubts)

    @property
    def shape(self) -> Shape:
        """The part of the network's shape that ranking needs."""
        return Shape.model_validate(self.model)
