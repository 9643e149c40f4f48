"""`train` as scripts and people see it: killed and resumed, in two processes, logged, and refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from agent.cli import answer
from agent.cli.training import REQUEST, STATE
from data.simulator.generate import simulate
from gnn.graph_ranker import load_ranker

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("train", "--hidden", "8", "--layers", "1", "--device", "cpu")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(*command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command], stderr=subprocess.PIPE, text=True, env=environment
    )


def weights(folder: Path) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in load_file(folder / "model.safetensors").items()}


def test_a_killed_training_goes_on_and_ends_as_one_that_was_not(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*SMALL, "--simulate", "24", "--epochs", "60")
    killed = started("agent", *options, "--out", "killed")
    while not (nowhere / "killed" / STATE).exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert {path.name for path in (nowhere / "killed").iterdir()} - {STATE + ".part"} == {REQUEST, STATE}
    assert answer([*options, "--out", "killed"]) == 2
    assert "--resume killed" in capsys.readouterr().err
    assert answer(["train", "--resume", "killed", "--seed", "3"]) == 2
    assert capsys.readouterr().err == (
        "firewatch: --seed: the training in killed was started with 0; leave it away\n"
    )
    assert answer(["train", "--resume", "killed"]) == 0
    first = re.search(r"epoch (\d+):", capsys.readouterr().err)
    assert first and int(first[1]) > 1
    assert answer([*options, "--out", "whole", "--quiet"]) == 0
    assert weights(nowhere / "killed") == weights(nowhere / "whole")
    assert {path.name for path in (nowhere / "killed").iterdir()} == {
        path.name for path in (nowhere / "whole").iterdir()
    }
    assert answer(["train", "--resume", "killed"]) == 0
    assert "done" in capsys.readouterr().err


def test_two_processes_end_as_one_and_only_the_first_speaks(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Of these incidents 45 are learnt from: in the last batch of each epoch one process has no share.
    options = (*SMALL, "--simulate", "52", "--epochs", "3", "--batch", "4")
    options += ("--dropout", "0", "--channel-dropout", "0")
    assert answer([*options, "--out", "one", "--json", "one.json"]) == 0
    told = capsys.readouterr().err
    together = started(
        "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "agent", *options, "--out", "two", "--json", "two.json",
    )  # fmt: skip
    _, err = together.communicate(timeout=120)
    assert together.returncode == 0, err
    one, two = (json.loads((nowhere / f"{name}.json").read_text()) for name in ("one", "two"))
    assert sum(one["trained_on"].values()) % 4 == 1
    assert {**two, "checkpoint": "one"} == {
        **one, "temperature": pytest.approx(one["temperature"], rel=0.01)
    }  # fmt: skip
    cases = list(simulate(20, seed=5))
    ours, theirs = (load_ranker(nowhere / name) for name in ("one", "two"))
    for case in cases:
        expected = {c.service: c.probability for c in ours.rank(case).candidates}
        assert {c.service: c.probability for c in theirs.rank(case).candidates} == pytest.approx(
            expected, abs=5e-3
        )

    def losses(text: str) -> list[float]:
        return [float(loss) for loss in re.findall(r"^epoch \d+: loss ([\d.]+)", text, re.MULTILINE)]

    assert losses(err) == pytest.approx(losses(told), abs=1e-3)
    assert len(losses(told)) == 3


def test_the_curves_are_there_for_tensorboard(nowhere: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    command = [
        *SMALL,
        "--simulate",
        "40",
        "--epochs",
        "2",
        "--out",
        "r",
        "--tensorboard",
        "curves",
        "--quiet",
    ]
    assert answer(command) == 0
    events = event_accumulator.EventAccumulator(str(nowhere / "curves")).Reload()
    curves = {"loss/train", "loss/held-out", "AC@1/held-out", "learning rate"}
    assert set(events.Tags()["scalars"]) == curves
    for name in curves:
        assert [event.step for event in events.Scalars(name)] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume", "absent"], "no interrupted training"),
        (["--resume", "absent", "--out", "other"], "leave --out away"),
        (["--simulate", "8", "--precision", "fp16"], "--precision fp16 needs CUDA"),
        (["--init", "absent", "--simulate", "8"], "absent"),
        (["--incidents", "absent.jsonl"], "absent.jsonl"),
        (["--simulate", "8", "--learning-rate", "0"], "--learning-rate"),
        ([], "no incident with a known root cause"),
    ],
)
def test_unusable_options_are_one_clear_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([*SMALL, *arguments, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and said in captured.err
