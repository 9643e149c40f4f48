"""A checkpoint folder holds one whole checkpoint, whatever happens while another one is written there."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from full_disk import room_for

from data.incident import Incident
from data.simulator.batch.generate import simulate
from gnn.checkpoint import CARD, EXPORT, WEIGHTS, CheckpointError, card_for, read_card, save
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
    """A checkpoint to copy: an export takes seconds."""
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


@pytest.mark.parametrize("room", [100, 20_000, 51_000])
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
    with pytest.raises(CheckpointError, match=r"not the network of checkpoint\.json .* copy the whole"):
        load_ranker(checkpoint)
