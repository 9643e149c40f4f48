"""Saves and loads checkpoint folders: weights without pickle, the exported network, and a card."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.channels import ChannelMap, OwnRules, default_channel_map, read_rules
from data.errors import FirewatchError, SchemaError
from data.files.json_text import NotJson, read_json
from data.files.whole_file import write_whole
from data.observation import parse
from gnn.card import FORMAT_VERSION, Card, Shape
from gnn.features.featurize import FEATURE_VERSION, SERVICE_FEATURES
from gnn.per_system.system_ensemble import FILES as ENSEMBLE
from gnn.per_system.system_ensemble import SystemEnsemble, save_ensemble
from gnn.probe import Probe, agree, probe_graph, probe_of

if TYPE_CHECKING:
    from gnn.network.model import ModelConfig, RootCauseNet

WEIGHTS, CARD, EXPORT = "model.safetensors", "checkpoint.json", "model.onnx"
RULES = "channel_rules.toml"
_AGAIN = "train it again with 'firewatch train'"
_COPY = "copy the whole folder again, or run 'firewatch train'"
_LARGEST_FILE_BYTES = 256 * 2**20
_FRESH = ".new"  # a checkpoint is written here before it replaces an earlier one


class CheckpointError(FirewatchError):
    """A checkpoint folder that is missing, damaged, or made for other features."""


def save(
    net: "RootCauseNet",
    card: Card,
    folder: Path,
    ensemble: SystemEnsemble | None = None,
    rules: OwnRules | None = None,
) -> Card:
    """Writes weights, export, ensemble, rules and card; an existing checkpoint in `folder` is replaced.

    Returns the card, which says what is in the folder: hashes, probe, and whether there are rules and a pool.

    Raises:
        CheckpointError: the network's scores are not finite.
        OSError: a file could not be written; an existing checkpoint is unchanged.
    """
    from safetensors.torch import save as tensor_bytes

    from gnn.network.export import export_onnx

    probe = _probe(net, folder)
    fresh = folder / _FRESH
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        weights = {name: value.contiguous() for name, value in net.state_dict().items()}
        write_whole(fresh / WEIGHTS, tensor_bytes(weights))
        export_onnx(net, fresh / EXPORT)
        save_ensemble(ensemble, fresh)
        if rules is not None:
            write_whole(fresh / RULES, rules.text)
        hashes = {path.name: _hash(path.read_bytes()) for path in sorted(fresh.iterdir())}
        told = {"pool": ensemble.pool if ensemble else None, "own_rules": rules is not None}
        card = card.model_copy(update={"files": hashes, "probe": probe, **told})
        text = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
        write_whole(fresh / CARD, text + "\n")
        _put_in_place(fresh, folder)
        return card
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _probe(net: "RootCauseNet", where: Path) -> Probe:
    """The scores that `net` gives the made-up graph."""
    import torch

    graph = probe_graph()
    arrays = (
        torch.from_numpy(part)
        for part in (graph.x, np.array([graph.mode]), graph.edge_index, graph.edge_attr)
    )
    try:
        with torch.no_grad():
            return probe_of(part.numpy() for part in net.cpu().eval()(*arrays, None, 1))
    except ValueError as error:
        raise CheckpointError(f"{where}: {error} – {_AGAIN}") from None


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Moves a complete checkpoint over an earlier one; the card goes first and comes last."""
    (folder / CARD).unlink(missing_ok=True)
    for name in (WEIGHTS, EXPORT, *ENSEMBLE, RULES, CARD):
        if (fresh / name).exists():
            (fresh / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def read_card(folder: Path) -> Card:
    """Reads and checks the card.

    Raises:
        CheckpointError: no checkpoint, or one of another format or feature version.
    """
    path = folder / CARD
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: no checkpoint ({CARD} is missing) – run 'firewatch train --out {folder}'"
        )
    try:
        raw = read_json(path.read_bytes())
    except (NotJson, OSError) as error:
        raise CheckpointError(f"{path}: {error} – {_AGAIN}") from None
    _check_versions(raw if isinstance(raw, Mapping) else {}, folder)
    try:
        card = parse(Card, raw, str(path))
        parse(Shape, card.model, f"{path}: model")
    except SchemaError as error:
        raise CheckpointError(f"{error} ({_AGAIN})") from None
    if card.features != SERVICE_FEATURES:
        raise CheckpointError(f"{path}: made for another set of features – {_AGAIN}")
    return card


def kept_file(folder: Path, card: Card, name: str) -> bytes:
    """Reads a file of the checkpoint and checks its hash.

    Raises:
        CheckpointError: it is missing or has changed.
    """
    path = folder / name
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: {name} is missing – {_COPY}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror} – {_COPY}") from None
    if _hash(content) != card.files.get(name):
        raise CheckpointError(f"{path}: not the file that was saved with {CARD} – {_COPY}")
    return content


def kept_channel_map(folder: Path, card: Card) -> ChannelMap | None:
    """How metric names were read in training; None for the default rules.

    Raises:
        CheckpointError: the checkpoint's own rules are missing or damaged.
    """
    if not card.own_rules:
        return None
    try:
        rules = read_rules(folder / RULES)
        kept_file(folder, card, RULES)
    except (SchemaError, CheckpointError) as error:
        raise CheckpointError(
            f"{error} (restore the rules that it was trained with, or train it again with --rules FILE)"
        ) from None
    return ChannelMap(rules)


def channel_map_for(rules: Path | None, folders: Iterable[Path]) -> ChannelMap:
    """How metric names are read when several rankers are compared.

    Args:
        rules: the user's rule file; None for the rules that the checkpoints were trained with.
        folders: the checkpoints; those without own rules don't count.

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
            f"{first} and {second} read metric names by different rules – choose one with --rules FILE"
        )
    return next((kept for _, kept in found.values()), default_channel_map())


def load(folder: Path) -> "tuple[RootCauseNet, Card]":
    """Reads a checkpoint for training or inspection; ranking needs only the export.

    Raises:
        CheckpointError: as `read_card`, or weights that do not fit the card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as tensors

    from gnn.network.model import ModelConfig, RootCauseNet

    card = read_card(folder)
    weights = kept_file(folder, card, WEIGHTS)
    try:
        net = RootCauseNet(parse(ModelConfig, card.model, str(folder / CARD)))
        net.load_state_dict(tensors(weights))
    except SchemaError as error:
        raise CheckpointError(f"{error} ({_AGAIN})") from None
    except (SafetensorError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{folder / WEIGHTS}: {first} – {_AGAIN}") from None
    check_probe(_probe(net, folder / WEIGHTS), card, folder / WEIGHTS)
    return net.eval(), card


def check_probe(found: Probe, card: Card, path: Path) -> None:
    """Checks that the network in `path` belongs to this card.

    Raises:
        CheckpointError: it scores the made-up graph differently.
    """
    if card.probe is None or not agree(card.probe, found):
        raise CheckpointError(f"{path}: its scores differ from those in {CARD} – {_COPY}")


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
