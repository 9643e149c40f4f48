"""What the card of a checkpoint says: how it was made, and how to tell that its files are the same."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gnn.features.featurize import FEATURE_VERSION, SERVICE_FEATURES
from gnn.per_system.system_ensemble import Pool
from gnn.probe import Probe

FORMAT_VERSION = 2


class Start(BaseModel):
    """What a training started from: what the card of that checkpoint says of how its weights were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    git: str | None = None
    trained_on: dict[str, int] = {}
    training: dict[str, Any] = {}
    start: "Start | None" = None  # what that one had started from

    @staticmethod
    def of(card: "Card") -> "Start":
        """The checkpoint of `card` as a start."""
        return Start(git=card.git, trained_on=card.trained_on, training=card.training, start=card.start)


class Effort(BaseModel):
    """What a training took."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # From the first incident to the decision what to keep; not what came before an interruption.
    seconds: float
    device: str
    processes: int = 1
    incidents_per_s: float | None = None  # in all passes over them, those of folds, too; None: without any


class Shape(BaseModel):
    """What ranking needs to know of the network's shape; the rest is `ModelConfig`'s, which needs torch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    families: tuple[str, ...] = ()


class Card(BaseModel):
    """What `checkpoint.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    feature_version: int = FEATURE_VERSION
    features: tuple[str, ...] = SERVICE_FEATURES
    model: dict[str, Any]
    training: dict[str, Any] = {}
    # What it learnt from: source → number of examples.
    trained_on: dict[str, int] = {}
    # What it learnt from before; None: it began with fresh weights, or its card is older than this field.
    start: Start | None = None
    # Marks of the incidents it learnt from, or that chose its epoch or temperature (`gnn.seen`).
    seen: tuple[str, ...] = ()
    # What that took; all else is the same whenever the same is trained.
    effort: Effort | None = None
    metrics: dict[str, Any] = {}
    # Softmax temperature a mode of evidence, fitted on held-out data.
    temperature: dict[str, Annotated[float, Field(gt=0, lt=1e6)]] = {}
    # The power of e by which that rises, see `gnn.network.softmax.Doubt`.
    alert_doubt: float = Field(default=0.0, ge=-10, le=10)
    trouble_doubt: float = Field(default=0.0, ge=-10, le=10)
    # Below this probability of its first candidate the ranker calls itself unsure.
    unsure_below: float = Field(default=0.0, ge=0, le=1)
    # How much the network, trees and frequencies count where it knows one system; None where it knows none.
    pool: Pool | None = None
    # Past incidents without labels from which it knows what is usual: source → number of incidents.
    history: dict[str, int] = {}
    # Whether metric names are read by own rules first, those of `RULES` beside it.
    own_rules: bool = False
    git: str | None = None
    # The SHA-256 of every other file of the folder, and what the network says of a made-up graph.
    files: dict[str, str] = {}
    probe: Probe | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the network, as far as ranking needs it."""
        return Shape.model_validate(self.model)
