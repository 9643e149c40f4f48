"""The options of a training; they are kept beside its files until it is done."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator

from data.errors import SettingsError
from data.options import Cases, Common, Resumable, option
from gnn.options import Checkpoint
from gnn.registry import shipped

if TYPE_CHECKING:
    from gnn.training.train import TrainConfig

# Options that say how to train; they mean nothing where only alerts are counted.
_TRAINS = (
    "dev_incidents", "labels", "epochs", "patience", "batch_graphs", "learning_rate", "channel_dropout",
    "precision", "tensorboard",
)  # fmt: skip
_SHAPE = ("convolution", "hidden", "layers", "dropout")


class TrainOptions(Common, Resumable, Cases):
    """The options of one training; what is left open depends on `init` and `healthy`."""

    dev_incidents: tuple[Path, ...] = option(
        (), "Incidents that decide which epoch is kept; never trained on.", metavar="PATH"
    )
    healthy: tuple[Path, ...] = option(
        (),
        "Healthy data of your system, no labels needed: the baselines of incidents, and incidents without a "
        "root cause. 1000 faults are simulated on it, or N with --simulate N.",
        metavar="PATH",
    )
    history: tuple[Path, ...] = option(
        (),
        "Past incidents of your system as lists of alerts, no labels needed: alerts that a service raises "
        "in most of them count less. Use it with --init alone, or beside --incidents.",
        metavar="PATH",
    )
    init: Checkpoint | None = option(
        None,
        "Start from this checkpoint: a folder, or 'ranker' for the shipped one. With --incidents alone, the "
        "default is the shipped one. From ten labels of one system on, trees learn them beside its network; "
        "with fewer, the network is fine-tuned.",
        metavar="DIR",
    )
    pure: bool = option(
        False,
        "With --incidents alone: train a new network on them. Choosing a shape, such as --hidden 32, means "
        "the same.",
    )
    teacher: tuple[Checkpoint, ...] = option(
        (),
        "Learn from this checkpoint's scores instead of the labels; several are averaged.",
        metavar="DIR",
    )
    rules: Path | None = option(
        None,
        "Your rules for what metric names mean. Default: those of the checkpoint.",
        metavar="FILE",
    )
    epochs: int | None = option(None, "Passes over the examples. Default: 30, with --healthy 4.", ge=1)
    patience: int = option(0, "Stop after N epochs without a better one. 0: never.", metavar="N", ge=0)
    batch_graphs: int | None = option(
        None, "Graphs per step. Default: 32, with --init 8, with --healthy 32.", name="--batch", ge=1
    )
    learning_rate: float | None = option(
        None,
        "Peak of the one-cycle schedule. Default: 0.002, with --init 0.0005, with --healthy 0.0003.",
        ge=1e-6,
    )
    convolution: Literal["sage", "edge", "none", "degree"] = option(
        "edge", "Message passing; 'none' is the graph-free control, 'degree' adds only degrees to it."
    )
    hidden: int = option(64, "Hidden width.", ge=1)
    layers: int = option(3, "Rounds of message passing.", ge=0)
    dropout: float = option(0.1, "Dropout of hidden values.", ge=0.0, le=0.99)
    channel_dropout: float = option(
        0.15, "Chance to hide a whole channel, so that no single metric is relied on.", ge=0.0, le=0.99
    )
    device: Literal["auto", "cpu", "cuda"] = option("auto", "auto uses a GPU if there is one.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = option(
        "auto", "auto: half precision on CUDA, full on the CPU."
    )
    tensorboard: Path | None = option(None, "Write each epoch's figures for TensorBoard here.", metavar="DIR")

    @field_validator("episodes_from", "incidents", "dev_incidents", "healthy", "history", "teacher")
    @classmethod
    def _absolute_ones(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        """Absolute paths, which mean the same from any folder."""
        return tuple(path.absolute() for path in paths)

    @field_validator("labels", "init", "rules", "tensorboard")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.absolute()

    @property
    def starts(self) -> tuple[Path, ...]:
        """The checkpoints that it begins with or learns from."""
        return (self.start, *self.teacher) if self.start else self.teacher

    @property
    def config(self) -> "TrainConfig":
        """The training that is asked for."""
        from gnn.network.model import ModelConfig
        from gnn.training.finetuning import FINETUNING
        from gnn.training.simulated_finetuning import SIMULATED_FINETUNING
        from gnn.training.train import TrainConfig

        suited: dict[str, Any] = SIMULATED_FINETUNING if self.healthy else FINETUNING if self.start else {}
        open_ones = ("epochs", "batch_graphs", "learning_rate")
        chosen = {name: value for name in open_ones if (value := getattr(self, name)) is not None}
        told = {name: getattr(self, name) for name in TrainConfig.model_fields if hasattr(self, name)}
        model = ModelConfig(**{name: getattr(self, name) for name in _SHAPE})
        for name in open_ones:
            del told[name]
        return TrainConfig(**{**told, "model": model, **suited, **chosen})

    @property
    def start(self) -> Path | None:
        """The checkpoint to start from; incidents alone start from the shipped ranker."""
        others = (self.init, self.teacher, self.healthy, self.episodes_from, self.simulate, self.pure)
        shaped = any(getattr(self, name) != type(self).model_fields[name].default for name in _SHAPE)
        return self.init if any(others) or shaped or not self.incidents else shipped("ranker")

    def refuse_contradictions(self) -> None:
        """Looks for options that do not go together.

        Raises:
            SettingsError: some do not.
        """
        if self.init:
            self._refuse(_SHAPE, "the checkpoint of --init decides it; leave it out")
        if self.teacher:  # a student starts from fresh weights, on episodes and simulated worlds only
            self._refuse_beside("teacher", "incidents", "init", "healthy")
        if self.healthy:  # one kind of learning at a time: from healthy data, or from labels
            if self.init is None:
                raise SettingsError("--healthy fine-tunes a checkpoint: name one with --init")
            others = ("episodes_from", "incidents", "history", "dev_incidents", "labels", "patience")
            self._refuse_beside("healthy", *others)
        if self.history:  # past incidents belong to one system: that of the labels, or of the checkpoint
            self._refuse_beside("history", "episodes_from", "simulate", "teacher")
            if not self.incidents and self.init is None:
                raise SettingsError(
                    "--history: name what it should be known beside, --init DIR or --incidents FILE"
                )
            if not self.incidents:
                self._refuse(_TRAINS, "on --history alone nothing is trained; leave it out")

    def _refuse(self, names: tuple[str, ...], why: str) -> None:
        for name in names:
            if name in self.model_fields_set:
                raise SettingsError(f"{self.cli(name)['name']}: {why}")

    def _refuse_beside(self, option_name: str, *others: str) -> None:
        for name in others:
            if getattr(self, name):
                raise SettingsError(
                    f"{self.cli(name)['name']}: not together with --{option_name}; use one, then the other "
                    "with --init"
                )
