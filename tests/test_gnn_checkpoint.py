"""A folder always holds one complete checkpoint, whatever happens while another is written."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from full_disk import room_for
from memory import at_most
from spoilt_checkpoints import edit_card, hash_again

from data.incident import Incident
from data.simulator.batch.generate import simulate
from gnn.checkpoint import CARD, EXPORT, WEIGHTS, CheckpointError, card_for, load, read_card, save
from gnn.graph_ranker import load_ranker
from gnn.network.model import ModelConfig, RootCauseNet
from gnn.per_system.alert_frequencies import FILE as ALERT_FREQUENCIES
from gnn.per_system.alert_frequencies import AlertFrequencies
from gnn.per_system.system_ensemble import SystemEnsemble
from gnn.per_system.trees import FILE as TREES

CONFIG = ModelConfig(hidden=8, layers=1)
CASE: Incident = next(iter(simulate(1, seed=5)))


def made(folder: Path, seed: int, ensemble: SystemEnsemble | None = None) -> Path:
    torch.manual_seed(seed)
    save(RootCauseNet(CONFIG).eval(), card_for(CONFIG, metrics={"seed": seed}), folder, ensemble)
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint to copy, because an export takes seconds."""
    return made(tmp_path_factory.mktemp("first"), 1)


@pytest.fixture
def checkpoint(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "ckpt"))


def test_a_checkpoint_is_replaced_whole_and_read_by_whom_the_umask_says(checkpoint: Path) -> None:
    (checkpoint / TREES).write_text("of a system that is known no more")
    (checkpoint / ".new").mkdir()  # what a killed writer left
    before = os.umask(0o022)
    try:
        made(checkpoint, 2, SystemEnsemble(AlertFrequencies.of([CASE])))
    finally:
        os.umask(before)
    assert {path.name for path in checkpoint.iterdir()} == {CARD, EXPORT, WEIGHTS, ALERT_FREQUENCIES}
    assert {path.stat().st_mode & 0o777 for path in checkpoint.iterdir()} == {0o644}
    assert read_card(checkpoint).metrics == {"seed": 2}


@pytest.mark.parametrize("room", [100, 20_000, 48_000])
def test_a_full_disk_leaves_the_old_checkpoint_and_is_said_of_a_file(checkpoint: Path, room: int) -> None:
    before = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    assert room < max(map(len, before.values()))
    with room_for(room), pytest.raises(OSError, match=r"ckpt/\.new/"):
        made(checkpoint, 2)
    assert {path.name: path.read_bytes() for path in checkpoint.iterdir()} == before
    assert load_ranker(checkpoint).rank(CASE).candidates


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (EXPORT, b"", "model.onnx: "),
        (EXPORT, b"\x08\x0a\x12" * 99, "model.onnx: "),
        (EXPORT, None, "model.onnx is missing"),
        (CARD, None, "no checkpoint"),
        (CARD, b"\xff\xfe{}", "not UTF-8"),
        (CARD, b"[" * 200_000, "nested too deeply"),
        (CARD, b"{", "not JSON at line 1"),
        (CARD, b"{}", "format version None"),
    ],
)
def test_a_spoilt_checkpoint_is_refused_with_the_mend(
    checkpoint: Path, name: str, content: bytes | None, said: str
) -> None:
    (checkpoint / name).unlink()
    if content is not None:
        (checkpoint / name).write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        load_ranker(checkpoint)
    assert said in str(refused.value) and "train" in str(refused.value) and "\n" not in str(refused.value)


def test_a_network_of_another_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    more = ModelConfig(hidden=8, layers=1, families=("leak", "cpu"))
    save(RootCauseNet(more).eval(), card_for(more), tmp_path / "other")
    (tmp_path / "other" / EXPORT).replace(checkpoint / EXPORT)
    with pytest.raises(CheckpointError, match=r"not the file that was saved .* copy the whole"):
        load_ranker(checkpoint)
    hash_again(checkpoint)
    with pytest.raises(CheckpointError, match=r"not the network of checkpoint\.json .* copy the whole"):
        load_ranker(checkpoint)


def _edited(folder: Path, edit: Callable[[Any], None]) -> None:
    """Changes the exported network and updates the card's hashes."""
    model = onnx.load(folder / EXPORT)
    edit(model.graph)
    onnx.save(model, folder / EXPORT)
    hash_again(folder)


def _tensors(graph: Any, change: Callable[[Any], Any]) -> None:
    """Changes every weight matrix."""
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.ndim == 2 and values.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(change(values.copy()), tensor.name))


def _not_a_number(values: Any) -> Any:
    values[0, 0] = np.nan
    return values


def _swapped(graph: Any) -> None:
    """Swaps the outputs for root scores and family."""
    names = {"root": "family", "family": "root"}
    for node in graph.node:
        for inputs in (node.input, node.output):
            for i, name in enumerate(inputs):
                inputs[i] = names.get(name, name)
    graph.output[0].name, graph.output[1].name = "family", "root"


def _endless(graph: Any) -> None:
    """Adds a loop of 2⁶² iterations."""
    turns = onnx.helper.make_tensor("turns", onnx.TensorProto.INT64, (), [2**62])
    on = onnx.helper.make_tensor("on", onnx.TensorProto.BOOL, (), [True])
    bool_of = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["go"], ["goes"])],
        "body",
        [bool_of("n", onnx.TensorProto.INT64, ()), bool_of("go", onnx.TensorProto.BOOL, ())],
        [bool_of("goes", onnx.TensorProto.BOOL, ())],
    )
    graph.initializer.extend([turns, on])
    graph.node.append(onnx.helper.make_node("Loop", ["turns", "on"], [], body=body))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda graph: _tensors(graph, _not_a_number), "not finite"),
        (lambda graph: _tensors(graph, lambda values: values[::-1]), "scores differ"),
        (lambda graph: _tensors(graph, lambda values: values[:, ::-1]), "scores differ"),
        (_swapped, "not the network of|scores differ|not finite"),
        (_endless, "a network with a loop"),
    ],
    ids=["nan", "permuted rows", "permuted columns", "swapped outputs", "endless loop"],
)
def test_a_network_that_the_card_vouches_for_is_tried_before_it_is_trusted(
    checkpoint: Path, edit: Callable[[Any], None], said: str
) -> None:
    _edited(checkpoint, edit)
    with pytest.raises(CheckpointError, match=said):
        load_ranker(checkpoint)


def _bomb(graph: Any, operator: str, inputs: dict[str, Any], live: bool) -> None:
    """A few bytes that allocate gigabytes; with `live` the scores depend on them."""
    made = (onnx.numpy_helper.from_array(np.array(value), name) for name, value in inputs.items())
    graph.initializer.extend(made)
    graph.node.append(onnx.helper.make_node(operator, list(inputs), ["boom"]))
    if live:
        for node in graph.node:
            node.output[:] = ["quiet" if name == "root" else name for name in node.output]
        graph.node.append(onnx.helper.make_node("ReduceMax", ["boom"], ["top"], keepdims=0))
        graph.node.append(onnx.helper.make_node("Add", ["quiet", "top"], ["root"]))


NONE, MANY = np.zeros((), np.float32), np.array([10**9])
BOMBS: dict[str, dict[str, Any]] = {
    "ConstantOfShape": {"many": MANY},
    "Expand": {"none": NONE, "many": MANY},
    "Tile": {"none": NONE.reshape(1), "many": MANY},
    "Range": {"none": NONE, "end": np.float32(1e9), "step": np.float32(1)},
}


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("operator", BOMBS)
def test_no_network_takes_gigabytes_while_it_is_tried(checkpoint: Path, operator: str, live: bool) -> None:
    _edited(checkpoint, lambda graph: _bomb(graph, operator, BOMBS[operator], live))
    with at_most(200), pytest.raises(CheckpointError, match="train"):
        load_ranker(checkpoint)


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": {"baselined": 0}},
        {"temperature": {"alerts": -1.0}},
        {"temperature": {"alerts": "NaN"}},
        {"unsure_below": 7},
        {"model": {"families": 5}},
        {"model": 3},
        {"features": ["a", "b"]},
        {"files": {}},
        {"probe": None},
        {"probe": {"root": [1], "family": [[1]], "incident": [1]}},
        {"probe": {"root": [1], "family": [[1], [1, 2]], "incident": [1]}},
        {"format_version": 1},
        {"format_version": [[]]},
        {"pool": {"network": "x"}},
    ],
    ids=str,
)
def test_a_card_that_cannot_be_true_is_refused(checkpoint: Path, fields: dict[str, Any]) -> None:
    edit_card(checkpoint, **fields)
    with pytest.raises(CheckpointError) as refused:
        load_ranker(checkpoint)
    assert "train" in str(refused.value) and "\n" not in str(refused.value)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


SHAPES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "half": _half,
    "one bit": _one_bit,
    "a folder": _folder,
    "a circle of links": _circle,
    "a list": lambda path: path.write_text("[]"),
    "other bytes": lambda path: path.write_bytes(b"\xff" * 5000),
}


@pytest.mark.parametrize("name", [CARD, EXPORT, WEIGHTS])
@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_happens_to_a_file_is_a_checkpoint_error(checkpoint: Path, name: str, shape: str) -> None:
    SHAPES[shape](checkpoint / name)
    opened: Callable[[Path], object] = load if name == WEIGHTS else load_ranker
    if name == CARD and shape == "one bit":
        return  # it may hit what a person wrote there
    with pytest.raises(CheckpointError, match="train"):
        opened(checkpoint)


def test_weights_that_are_no_numbers_are_not_saved(checkpoint: Path) -> None:
    before = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    net = RootCauseNet(CONFIG)
    torch.nn.init.constant_(next(net.parameters()), float("nan"))
    with pytest.raises(CheckpointError, match="not finite"):
        save(net, card_for(CONFIG), checkpoint)
    assert {path.name: path.read_bytes() for path in checkpoint.iterdir()} == before


FUZZ = """
import resource, sys
from pathlib import Path
import spoilt_checkpoints
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))  # of addresses; what is used is looked at below
spoilt_checkpoints.fuzz(Path(sys.argv[1]), int(sys.argv[2]))
"""


def test_damaged_checkpoints_are_refused_or_read_and_nothing_else(checkpoint: Path) -> None:
    """As many as time allows; `python tests/bench_fuzz.py` tries a thousand."""
    told = subprocess.run(
        [sys.executable, "-c", FUZZ, str(checkpoint), "30"],
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
