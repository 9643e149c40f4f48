"""A checkpoint folder: weights without pickle, the exported network, and a card that says where from."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from data.errors import FirewatchError, SchemaError
from data.json_text import not_json, read_json
from data.observation import parse
from data.whole_file import write_whole
from gnn.features import FEATURE_VERSION, SERVICE_FEATURES
from gnn.specialist import FILES as SPECIALIST
from gnn.specialist import Pool, Specialist, save_specialist

if TYPE_CHECKING:
    from gnn.model import ModelConfig, RootCauseNet

FORMAT_VERSION = 1
WEIGHTS, CARD, EXPORT = "model.safetensors", "checkpoint.json", "model.onnx"
_AGAIN = "train it again with 'firewatch train'"
_FRESH = ".new"  # where a checkpoint is written before it takes the place of an earlier one


class CheckpointError(FirewatchError):
    """A checkpoint folder that is missing, damaged, or made for other features."""


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
    metrics: dict[str, Any] = {}
    # Softmax temperature a mode of evidence, fitted on held-out data.
    temperature: dict[str, float] = {}
    # Below this probability of its first candidate the ranker calls itself unsure.
    unsure_below: float = 0.0
    # How much the network, trees and habits count where it knows one system; None where it knows none.
    pool: Pool | None = None
    # Past incidents without labels from which it knows what is usual: source → number of incidents.
    history: dict[str, int] = {}
    git: str | None = None


def save(net: "RootCauseNet", card: Card, folder: Path, specialist: Specialist | None = None) -> None:
    """Writes weights, export, specialist and card; an existing checkpoint in `folder` is replaced.

    Raises:
        OSError: with the name of a file that could not be written; an existing checkpoint is as it was.
    """
    from safetensors.torch import save as tensor_bytes

    from gnn.export import export_onnx

    fresh = folder / _FRESH
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        weights = {name: value.contiguous() for name, value in net.state_dict().items()}
        write_whole(fresh / WEIGHTS, tensor_bytes(weights))
        export_onnx(net, fresh / EXPORT)
        save_specialist(specialist, fresh)
        text = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
        write_whole(fresh / CARD, text + "\n")
        _put_in_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Moves the files of a whole checkpoint over an earlier one's: a mixture never has a card."""
    (folder / CARD).unlink(missing_ok=True)
    for name in (WEIGHTS, EXPORT, *SPECIALIST, CARD):
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
    except ValueError as error:
        raise CheckpointError(f"{path}: {not_json(error)} – {_AGAIN}") from None
    _check_versions(raw if isinstance(raw, Mapping) else {}, folder)
    try:
        return parse(Card, raw, str(path))
    except SchemaError as error:
        raise CheckpointError(f"{error} ({_AGAIN})") from None


def load(folder: Path) -> "tuple[RootCauseNet, Card]":
    """Reads a checkpoint for training or inspection; ranking needs only the export.

    Raises:
        CheckpointError: as `read_card`, or weights that do not fit the card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from gnn.model import ModelConfig, RootCauseNet

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
