"""A checkpoint folder: weights without pickle, the exported network, and a card that says where from."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from data.channels import ChannelMap, OwnRules, default_channel_map, read_rules
from data.errors import FirewatchError, SchemaError
from data.files.json_text import NotJson, read_json
from data.files.whole_file import write_whole
from data.observation import parse
from gnn.features.featurize import FEATURE_VERSION, SERVICE_FEATURES
from gnn.per_system.system_ensemble import FILES as SPECIALIST
from gnn.per_system.system_ensemble import Pool, Specialist, save_specialist

if TYPE_CHECKING:
    from gnn.network.model import ModelConfig, RootCauseNet

FORMAT_VERSION = 1
WEIGHTS, CARD, EXPORT = "model.safetensors", "checkpoint.json", "model.onnx"
RULES = "channel_rules.toml"
_AGAIN = "train it again with 'firewatch train'"
_FRESH = ".new"  # where a checkpoint is written before it takes the place of an earlier one


class CheckpointError(FirewatchError):
    """A checkpoint folder that is missing, damaged, or made for other features."""


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
    # What that took; all else is the same whenever the same is trained.
    effort: Effort | None = None
    metrics: dict[str, Any] = {}
    # Softmax temperature a mode of evidence, fitted on held-out data.
    temperature: dict[str, float] = {}
    # Below this probability of its first candidate the ranker calls itself unsure.
    unsure_below: float = 0.0
    # How much the network, trees and habits count where it knows one system; None where it knows none.
    pool: Pool | None = None
    # Past incidents without labels from which it knows what is usual: source → number of incidents.
    history: dict[str, int] = {}
    # Whether metric names are read by own rules first, those of `RULES` beside it.
    own_rules: bool = False
    git: str | None = None


def save(
    net: "RootCauseNet",
    card: Card,
    folder: Path,
    specialist: Specialist | None = None,
    rules: OwnRules | None = None,
) -> None:
    """Writes weights, export, specialist, rules and card; an existing checkpoint in `folder` is replaced.

    Args:
        net: the network.
        card: says by `own_rules` whether `rules` belong to it, by `pool` whether `specialist` does.
        folder: where to.
        specialist: what is known of one system beside the network.
        rules: those by which metric names were read before the default ones.

    Raises:
        OSError: with the name of a file that could not be written; an existing checkpoint is as it was.
    """
    from safetensors.torch import save as tensor_bytes

    from gnn.network.export import export_onnx

    fresh = folder / _FRESH
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        weights = {name: value.contiguous() for name, value in net.state_dict().items()}
        write_whole(fresh / WEIGHTS, tensor_bytes(weights))
        export_onnx(net, fresh / EXPORT)
        save_specialist(specialist, fresh)
        if rules is not None:
            write_whole(fresh / RULES, rules.text)
        text = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
        write_whole(fresh / CARD, text + "\n")
        _put_in_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Moves the files of a whole checkpoint over an earlier one's: a mixture never has a card."""
    (folder / CARD).unlink(missing_ok=True)
    for name in (WEIGHTS, EXPORT, *SPECIALIST, RULES, CARD):
        if (fresh / name).exists():
            (fresh / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def read_card(folder: Path) -> Card:
    """Reads and checks the card.

    Raises:
        CheckpointError: no checkpoint there, or one of another format or feature version.
    """
    path = folder / CARD
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: no checkpoint ({CARD} is missing) – run 'firewatch train --out {folder}'"
        )
    try:
        raw = read_json(path.read_bytes())
    except NotJson as error:
        raise CheckpointError(f"{path}: {error} – {_AGAIN}") from None
    _check_versions(raw if isinstance(raw, Mapping) else {}, folder)
    try:
        return parse(Card, raw, str(path))
    except SchemaError as error:
        raise CheckpointError(f"{error} ({_AGAIN})") from None


def kept_channel_map(folder: Path, card: Card) -> ChannelMap | None:
    """How metric names were read when the checkpoint was trained; None by the default rules alone.

    Raises:
        CheckpointError: its own rules are missing or damaged.
    """
    if not card.own_rules:
        return None
    try:
        return ChannelMap(read_rules(folder / RULES))
    except SchemaError as error:
        raise CheckpointError(
            f"{error} (restore the rules that it was trained with, or train it again with --rules FILE)"
        ) from None


def channel_map_for(rules: Path | None, folders: Iterable[Path]) -> ChannelMap:
    """How metric names are read by all who work beside these checkpoints, such as rankers that are compared.

    Args:
        rules: own rules that are given for it; when None, those that the checkpoints were trained by.
        folders: the checkpoints; those without own rules have no say.

    Raises:
        SchemaError: the rule file cannot be read.
        CheckpointError: a checkpoint or its rules cannot be used, or their rules differ.
    """
    if rules is not None:
        return ChannelMap(read_rules(rules))
    found: dict[str, tuple[Path, ChannelMap]] = {}
    for folder in folders:
        kept = kept_channel_map(folder, read_card(folder))
        if kept is not None and kept.own is not None:
            found.setdefault(kept.own.text, (folder, kept))
    if len(found) > 1:
        first, second, *_ = (folder for folder, _ in found.values())
        raise CheckpointError(
            f"{first} and {second} read metric names by different rules – say by which with --rules FILE"
        )
    return next((kept for _, kept in found.values()), default_channel_map())


def load(folder: Path) -> "tuple[RootCauseNet, Card]":
    """Reads a checkpoint for training or inspection; ranking needs only the export.

    Raises:
        CheckpointError: as `read_card`, or weights that do not fit the card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from gnn.network.model import ModelConfig, RootCauseNet

    card = read_card(folder)
    net = RootCauseNet(parse(ModelConfig, card.model, str(folder / CARD)))
    try:
        net.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{folder / WEIGHTS}: {first} – {_AGAIN}") from None
    return net.eval(), card


def _check_versions(raw: Mapping[str, Any], folder: Path) -> None:
    for key, ours in (("format_version", FORMAT_VERSION), ("feature_version", FEATURE_VERSION)):
        if raw.get(key) != ours:
            what = key.replace("_version", "")
            theirs = raw.get(key)
            raise CheckpointError(
                f"{folder}: {what} version {theirs}, this code has {ours} – run 'firewatch train'"
            )


def card_for(config: "ModelConfig", **fields: Any) -> Card:
    """A card for a network of this shape."""
    return Card(model=config.model_dump(mode="json"), **fields)
