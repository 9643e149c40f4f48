"""`train` from outside: killed and resumed, in two processes, logged, and refused."""

import json
import multiprocessing
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
from bench_train import trained
from full_disk import room_for
from post_mortems import write_post_mortems
from safetensors.numpy import load_file

from agent.cli import answer
from agent.cli.train import REQUEST, STATE
from data.simulator.batch.generate import simulate
from gnn.checkpoint import RULES
from gnn.graph_ranker import load_ranker
from gnn.registry import shipped
from gnn.training.options import TrainOptions

SMALL = ("train", "--hidden", "8", "--layers", "1", "--device", "cpu")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def forked(arguments: Sequence[str], said: Path, **environment: str) -> ForkProcess:
    """Another process, which need not import all of it again; `said` gets what it says on stderr."""

    def become() -> None:
        sys.stderr = said.open("a", encoding="utf-8", buffering=1)
        os.environ |= environment
        sys.exit(answer(arguments))

    process = multiprocessing.get_context("fork").Process(target=become)
    process.start()
    return process


def weights(folder: Path) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in load_file(folder / "model.safetensors").items()}


def test_a_killed_training_goes_on_and_ends_as_one_that_was_not(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "rules.toml").write_text(
        '[[rule]]\nchannel = "cpu"\npatterns = ["^zorp$"]\n', encoding="utf-8"
    )
    options = (*SMALL, "--convolution", "edge", "--simulate", "24", "--epochs", "60", "--rules", "rules.toml")
    killed = forked([*options, "--out", "killed"], nowhere / "said")
    while not (nowhere / "killed" / STATE).exists():
        assert killed.is_alive()
        time.sleep(0.01)
    killed.kill()
    killed.join()
    assert {path.name for path in (nowhere / "killed").iterdir()} - {STATE + ".new"} == {REQUEST, STATE}
    assert answer([*options, "--out", "killed"]) == 2
    assert "--resume killed" in capsys.readouterr().err
    assert answer(["train", "--resume", "killed", "--seed", "3"]) == 2
    assert capsys.readouterr().err == ("firewatch: --seed: killed was started with 0; leave it out\n")
    assert answer(["train", "--resume", "killed"]) == 0
    first = re.search(r"epoch (\d+):", capsys.readouterr().err)
    assert first and int(first[1]) > 1
    assert answer([*options, "--out", "whole", "--quiet"]) == 0
    assert weights(nowhere / "killed") == weights(nowhere / "whole")
    assert load_ranker(nowhere / "killed").card.model["convolution"] == "edge"
    assert {path.name for path in (nowhere / "killed").iterdir()} == {
        path.name for path in (nowhere / "whole").iterdir()
    }
    assert (nowhere / "killed" / RULES).is_file()
    assert answer(["train", "--resume", "killed"]) == 0
    assert "done" in capsys.readouterr().err


# 45 of these are trained on: in each epoch's last batch, one of two processes gets nothing.
SHARED = (
    *SMALL,
    "--simulate",
    "52",
    "--epochs",
    "3",
    "--batch",
    "4",
    "--dropout",
    "0",
    "--channel-dropout",
    "0",
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoint `one` from single-process training, its results and curves."""
    folder = tmp_path_factory.mktemp("alone")
    out, results, curves = (str(folder / name) for name in ("one", "one.json", "curves"))
    options = ("--out", out, "--json", results, "--tensorboard", curves, "--quiet")
    assert answer([*SHARED, *options]) == 0
    return folder


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: name → (epoch, value)."""
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_two_processes_end_as_one_and_only_the_first_speaks(nowhere: Path, alone: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = (*SHARED, "--out", "two", "--json", "two.json")
    by_torchrun = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2"}
    by_torchrun |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    together = [
        forked(arguments, nowhere / "said", **by_torchrun, RANK=rank, LOCAL_RANK=rank) for rank in "01"
    ]
    for process in together:
        process.join(timeout=120)
    err = (nowhere / "said").read_text(encoding="utf-8")
    assert [process.exitcode for process in together] == [0, 0], err
    one, two = (
        json.loads((at / f"{at_name}.json").read_text()) for at, at_name in ((alone, "one"), (nowhere, "two"))
    )
    assert sum(one["trained_on"].values()) % 4 == 1
    # Two processes sum in a different order, so the last digits differ.
    assert two["probe"]["root"] == pytest.approx(one["probe"]["root"], abs=0.01)
    alike = {"checkpoint": "two", "temperature": pytest.approx(one["temperature"], rel=0.01)}
    alike |= {"files": two["files"], "probe": two["probe"]}
    # The tree may have been edited between the two.
    assert two == {**one, **alike, "git": two["git"], "effort": two["effort"]}
    assert (one["effort"]["processes"], two["effort"]["processes"]) == (1, 2)
    assert re.search(r" s on cpu, [\d,]+ incidents a second by 2 processes\.$", err, re.MULTILINE)
    ours, theirs = load_ranker(alone / "one"), load_ranker(nowhere / "two")
    for case in simulate(20, seed=5):
        expected = {c.service: c.probability for c in ours.rank(case).candidates}
        found = {c.service: c.probability for c in theirs.rank(case).candidates}
        assert found == pytest.approx(expected, abs=5e-3)
    told = [float(loss) for loss in re.findall(r"^epoch \d+: loss ([\d.]+)", err, re.MULTILINE)]
    assert told == pytest.approx([loss for _, loss in curves(alone / "curves")["loss/train"]], abs=1e-3)


def test_a_finished_training_shows_its_card_and_takes_no_other_options(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = str(alone / "one")
    assert answer(["train", "--resume", one, "--epochs", "3", "--batch", "4", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads((alone / "one.json").read_text())
    assert captured.err == f"{one}: this training is done, nothing is changed\n"
    assert answer(["train", "--resume", one, "--epochs", "9"]) == 2
    assert capsys.readouterr().err == (
        f"firewatch: --epochs: the training in {one} is done, with 3; leave it out, or train further with "
        f"--init {one} and another --out\n"
    )


def test_a_full_disk_ends_a_training_in_one_line_and_leaves_what_was_there(
    nowhere: Path, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Path(shutil.copytree(alone / "one", nowhere / "mine"))
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    lines = [
        {"incident_id": str(number), "call_graph": {"web": ["db"]}, "root_causes": ["db"],
         "telemetry": {"db": {"latency": {"baseline": [1, 1, 1], "incident": [5, 5]}}}}
        for number in range(2)
    ]  # fmt: skip
    (nowhere / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ["--init", str(alone / "one"), "--incidents", "a.jsonl", "--epochs", "1", "--device", "cpu"]
    with room_for(20_000):
        assert answer(["train", *options, "--out", "mine", "--quiet"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "mine/.new/model" in said and "--resume mine" in said
    assert {path.name: path.read_bytes() for path in mine.iterdir() if path.name != REQUEST} == before
    assert answer(["train", "--resume", "mine", "--quiet"]) == 0
    assert load_ranker(mine).card.training["epochs"] == 1


def test_a_ranker_learns_from_rankers(nowhere: Path, alone: Path) -> None:
    teacher = ("--teacher", str(alone / "one"))
    options = (*SMALL, "--simulate", "30", *teacher, *teacher, "--quiet", "--out", "pupil")
    assert answer([*options, "--json", "pupil.json"]) == 0
    assert json.loads((nowhere / "pupil.json").read_text(encoding="utf-8"))["training"]["teachers"] == 2
    assert load_ranker(nowhere / "pupil").rank(next(simulate(1, seed=5))).candidates


@pytest.mark.parametrize(("labels", "kept"), [(1, True), (3, False)])
def test_an_adapted_ranker_says_where_it_started_and_why_it_stayed(
    labels: int, kept: bool, nowhere: Path, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alert = {"kind": "log", "service": "b", "name": "disk full", "direction": "up"}
    one = {"system": "s", "call_graph": {"a": ["b"], "b": []}, "alerts": [alert], "root_causes": ["b"]}
    lines = [json.dumps({**one, "incident_id": str(number)}) + "\n" for number in range(labels)]
    (nowhere / "few.jsonl").write_text("".join(lines), encoding="utf-8")
    options = ("--init", str(alone / "one"), "--incidents", "few.jsonl", "--epochs", "1", "--device", "cpu")
    assert answer(["train", *options, "--out", "mine", "--json", "mine.json"]) == 0
    card, start = (json.loads(path.read_text()) for path in (nowhere / "mine.json", alone / "one.json"))
    assert card["trained_on"] == {"s": labels}
    assert card["start"] == {name: start[name] for name in ("git", "trained_on", "training", "start")}
    assert card["effort"]["device"] == "cpu" and card["effort"]["seconds"] >= 0
    assert (
        card["effort"]["incidents_per_s"] is None
    ) == kept  # without a second label nothing is learnt from
    why = "The starting checkpoint is kept as it is: nothing is held out to check fine-tuning on"
    assert (why in capsys.readouterr().err) == kept == (card["metrics"]["adapted"] == 0.0)


def test_what_follows_the_last_epoch_says_a_few_words(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_post_mortems(nowhere / "all.jsonl", 15)
    assert answer([*SMALL, "--incidents", "all.jsonl", "--epochs", "4", "--out", "mine"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == [f"epoch {number}" for number in range(1, 5)]
    assert all("loss" in line for line in lines[:4])
    passes = [f"epochs of cross-validation: {done} of 20" for done in (4, 8, 12, 16, 20)]
    trees = [f"trees of cross-validation, in parts: {done} of 30" for done in (6, 12, 18, 24, 30)]
    assert lines[4:14] == [*passes, *trees]
    assert len(lines) == 20 and lines[-1].startswith("mine: trained on 15 examples (15 from incident files)")
    assert re.search(r", in \d+ s on cpu, [\d,]+ incidents a second\.$", lines[-1])


def test_incidents_alone_start_from_the_shipped_ranker_unless_a_new_one_is_wanted(
    nowhere: Path,
) -> None:
    write_post_mortems(nowhere / "few.jsonl", 4)
    command = ["train", "--incidents", "few.jsonl", "--epochs", "1", "--device", "cpu", "--out", "kept"]
    assert answer(command) == 0
    assert json.loads((nowhere / "kept" / "checkpoint.json").read_text())["start"]
    incidents = (nowhere / "few.jsonl",)
    assert TrainOptions(incidents=incidents).start == shipped("ranker")
    assert TrainOptions(incidents=incidents, pure=True).start is None
    assert TrainOptions(incidents=incidents, simulate=5).start is None


def test_the_benchmark_times_what_the_command_does(nowhere: Path) -> None:
    write_post_mortems(nowhere / "few.jsonl", 4)
    took = trained("--incidents", "few.jsonl", "--epochs", "2", *SMALL[1:])
    assert took["seconds"] >= took["seconds_before_writing"] >= 0.0
    assert took["incidents_per_s"] > 0.0 and took["device"] == "cpu"
    assert [path.name for path in nowhere.iterdir()] == ["few.jsonl"]


def test_the_curves_are_there_for_tensorboard(alone: Path) -> None:
    found = curves(alone / "curves")
    assert set(found) == {"loss/train", "loss/held-out", "AC@1/held-out", "learning rate"}
    assert {tuple(epoch for epoch, _ in curve) for curve in found.values()} == {(1, 2, 3)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume", "absent"], "no interrupted training"),
        (["--resume", "absent", "--out", "other"], "drop --out"),
        (["--simulate", "8", "--precision", "fp16"], "--precision fp16 needs CUDA"),
        (["--init", "absent", "--simulate", "8"], "--hidden: the checkpoint of --init"),
        (["--teacher", "absent", "--simulate", "8"], "absent: no checkpoint"),
        (["--teacher", "absent", "--incidents", "absent.jsonl"], "--incidents: not together with --teacher"),
        (["--incidents", "absent.jsonl"], "absent.jsonl"),
        (["--simulate", "8", "--learning-rate", "0"], "--learning-rate"),
        (["--simulate", "8", "--seed", "-1"], "--seed"),
        ([], "no incident with a known root cause"),
    ],
)
def test_unusable_options_are_one_clear_line_and_status_2(
    arguments: list[str], said: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([*SMALL, *arguments, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and said in captured.err
    assert [path for path in nowhere.rglob("*") if path.is_file()] == []


def test_tensorboard_is_asked_for_by_name_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # how Python knows what is not there
    assert answer([*SMALL, "--simulate", "8", "--tensorboard", "curves"]) == 2
    assert "pip install 'firewatch-rca[tensorboard]'" in capsys.readouterr().err
