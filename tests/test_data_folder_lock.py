"""Two processes and one results folder, and folders in which two processes wrote before."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from agent.records.trajectory import RunFolder
from data.errors import SettingsError
from data.files.folder_lock import LOCK, hold
from gnn.registry import shipped

TREE = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TREE)}
HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom data.files.folder_lock import hold\n"
    "lock = hold(Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)"
)
RUN = ("run", "--env", "embedded", "--policy", "rules", "--ranker", "heuristic", "--test-run", "--quiet")


def firewatch(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_owner_is_named_and_a_killed_one_holds_nobody_up(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    try:
        with pytest.raises(SettingsError, match=f"process {owner.pid} writes there"):
            hold(tmp_path)
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.communicate()
    assert (tmp_path / LOCK).exists()
    again = hold(tmp_path)
    assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n" and again.is_locked


def test_of_two_runs_into_one_folder_one_plays(tmp_path: Path) -> None:
    out = tmp_path / "r"
    both = [firewatch(*RUN, "--out", str(out)) for _ in range(2)]
    ends = [(*process.communicate(timeout=120), process.returncode) for process in both]
    assert sorted(status for *_, status in ends) == [0, 2]
    refused = next(said for _, said, status in ends if status == 2)
    assert ("writes there" in refused or "already holds a run" in refused) and "Traceback" not in refused
    episodes = [json.loads(line)["task"] for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert max(Counter(episodes).values()) == 1


def test_no_collection_goes_where_another_process_writes(tmp_path: Path) -> None:
    lock = hold(tmp_path / "c")
    second = firewatch("collect", "--env", "embedded", "--episodes", "1", "--out", str(tmp_path / "c"))
    _, refused = second.communicate(timeout=120)
    assert second.returncode == 2 and f"process {os.getpid()} writes there" in refused
    assert lock.is_locked and [file.name for file in (tmp_path / "c").iterdir()] == [LOCK]


def test_doubled_tasks_are_played_again_on_resume(tmp_path: Path) -> None:
    """Earlier versions let two processes write into one folder."""
    out = tmp_path / "r"
    first = firewatch(*RUN, "--out", str(out))
    assert first.communicate(timeout=120) and first.returncode == 0
    files = {name: (out / name).read_text().splitlines() for name in ("episodes.jsonl", "steps.jsonl")}
    one, two, three = (json.loads(line)["task"] for line in files["episodes.jsonl"])
    doubled = [*files["episodes.jsonl"], files["episodes.jsonl"][0]]
    (out / "episodes.jsonl").write_text("\n".join(doubled) + "\n")
    extra = next(line for line in files["steps.jsonl"] if json.loads(line)["task"] == two)
    (out / "steps.jsonl").write_text("\n".join([extra, *files["steps.jsonl"]]) + "\n")
    assert [task.name for task in RunFolder.resume(out).missing] == [one, two]
    again = firewatch("run", "--resume", str(out), "--quiet")
    assert again.communicate(timeout=120) and again.returncode == 0
    played = {name: (out / name).read_text().splitlines() for name in files}
    tasks = [json.loads(line)["task"] for line in played["episodes.jsonl"]]
    assert sorted(tasks) == sorted([one, two, three])
    assert len(played["steps.jsonl"]) == len(files["steps.jsonl"])


def test_a_run_does_not_go_on_with_other_weights(tmp_path: Path) -> None:
    weights = Path(shutil.copytree(shipped("mlp"), tmp_path / "weights"))
    out = tmp_path / "r"
    config = ("run", "--env", "embedded", "--policy", "rules", "--test-run", "--quiet")
    first = firewatch(*config, "--checkpoint", str(weights), "--out", str(out))
    assert first.communicate(timeout=120) and first.returncode == 0
    shutil.copytree(shipped("ranker"), weights, dirs_exist_ok=True)
    again = firewatch("run", "--resume", str(out), "--quiet")
    _, said = again.communicate(timeout=120)
    assert again.returncode == 2 and "started with other weights" in said


def test_no_worker_outlives_a_killed_ablation(tmp_path: Path) -> None:
    arguments = (
        "--test-run",
        "--seeds",
        "40",
        "--ranker",
        "heuristic",
        "--policy",
        "rules",
        "--env",
        "embedded",
    )
    owner = firewatch("ablate", *arguments, "--jobs", "2", "--out", str(tmp_path / "a"), "--quiet")
    watched = psutil.Process(owner.pid)
    try:
        while not list((tmp_path).glob("a/episodes.jsonl")):
            assert owner.poll() is None, owner.communicate()
            time.sleep(0.05)
        children = watched.children(recursive=True)
        assert len(children) > 2
    finally:
        owner.kill()
        owner.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
