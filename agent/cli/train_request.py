"""What one training is asked to do, and which options do not go together."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from data.errors import SettingsError
from gnn.network.model import HEADS, Convolution, ModelConfig, Temporal
from gnn.training.finetuning import ADAPTING
from gnn.training.simulated_finetuning import REHEARSING
from gnn.training.train import TrainConfig
from gnn.training.workers import Precision

# What says how to train, and is of no use where only habits are counted.
_TRAINS = (
    "dev_incidents", "labels", "epochs", "patience", "batch", "learning_rate", "channel_dropout",
    "precision", "tensorboard",
)  # fmt: skip
_SHAPE = ("convolution", "temporal", "hidden", "layers", "dropout")


class TrainRequest(BaseModel):
    """The options of one training, kept beside what it writes until it is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    episodes_from: tuple[Path, ...] = ()
    incidents: tuple[Path, ...] = ()
    simulate: int = 0
    dev_incidents: tuple[Path, ...] = ()
    healthy: tuple[Path, ...] = ()
    history: tuple[Path, ...] = ()
    labels: Path | None = None
    init: Path | None = None
    teacher: tuple[Path, ...] = ()
    rules: Path | None = None
    epochs: int | None = None
    patience: int = 0
    batch: int | None = None
    learning_rate: float | None = None
    convolution: Convolution = "edge"
    temporal: Temporal = "none"
    hidden: int = 64
    layers: int = 3
    dropout: float = 0.1
    channel_dropout: float = 0.15
    device: str = "auto"
    precision: Precision = "auto"
    tensorboard: Path | None = None
    seed: int = 0

    @property
    def starts(self) -> tuple[Path, ...]:
        """The checkpoints that it begins with or learns from."""
        return (self.init, *self.teacher) if self.init else self.teacher

    @property
    def config(self) -> TrainConfig:
        """The training that is asked for; what is left open depends on `init`."""
        fixed = {"epochs": self.epochs, "batch_graphs": self.batch, "learning_rate": self.learning_rate}
        chosen = {name: value for name, value in fixed.items() if value is not None}
        return TrainConfig(
            model=ModelConfig(
                convolution=self.convolution,
                temporal=self.temporal,
                hidden=self.hidden,
                layers=self.layers,
                dropout=self.dropout,
            ),
            patience=self.patience,
            channel_dropout=self.channel_dropout,
            device=self.device,
            precision=self.precision,
            seed=self.seed,
            **{**self._suited, **chosen},
        )

    @property
    def _suited(self) -> dict[str, Any]:
        """What suits the start better than the defaults of a training from nothing."""
        if self.healthy:
            return REHEARSING
        return ADAPTING if self.init else {}


def refuse_contradictions(asked: TrainRequest, given: Collection[str]) -> None:
    """Looks for options that do not go together.

    Args:
        asked: the whole request.
        given: the names of the options that were given, rather than left at their defaults.

    Raises:
        SettingsError: some do not.
    """
    for name in _SHAPE if asked.init else ():
        if name in given:
            raise SettingsError(f"--{name}: the checkpoint of --init decides it; leave it away")
    if asked.convolution == "gatv2" and asked.hidden % HEADS:
        raise SettingsError(f"--hidden {asked.hidden}: gatv2 needs a multiple of its {HEADS} heads")
    if asked.teacher:
        _refuse_beside_teachers(asked)
    if asked.healthy:
        _refuse_beside_healthy(asked)
    if asked.history:
        _refuse_beside_history(asked, given)


def _refuse_beside_healthy(asked: TrainRequest) -> None:
    """Only one thing is learnt at a time: what a system is like in health, or what its labels say."""
    if asked.init is None:
        raise SettingsError("--healthy adapts a checkpoint: name one with --init")
    _refuse_beside(
        "healthy", asked, ("episodes_from", "incidents", "history", "dev_incidents", "labels", "patience")
    )


def _refuse_beside_history(asked: TrainRequest, given: Collection[str]) -> None:
    """Habits are of one system: that of the labels, or the one that a checkpoint is to serve."""
    _refuse_beside("history", asked, ("episodes_from", "simulate", "teacher"))
    if not asked.incidents and asked.init is None:
        raise SettingsError("--history: name what it should be known beside, --init DIR or --incidents FILE")
    for name in () if asked.incidents else _TRAINS:
        if name in given:
            raise SettingsError(f"{as_typed(name)}: on --history alone nothing is trained; leave it away")


def _refuse_beside_teachers(asked: TrainRequest) -> None:
    """Pupils start from fresh weights and learn from episodes and worlds only."""
    _refuse_beside("teacher", asked, ("incidents", "init", "healthy"))


def _refuse_beside(option: str, asked: TrainRequest, others: Sequence[str]) -> None:
    for name in others:
        if getattr(asked, name):
            raise SettingsError(
                f"{as_typed(name)}: not together with --{option}; use one, then the other with --init"
            )


def as_typed(name: str) -> str:
    """An option as a user writes it."""
    return "--" + name.replace("_", "-")
