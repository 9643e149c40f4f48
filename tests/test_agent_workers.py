"""Several workers do what one process does, each task once, even if some of them are killed."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from mortal import killed_once

from agent.cli import answer
from agent.play.workers import Job, run_jobs, worker_pool
from data.errors import SettingsError

COLLECT = (
    "collect",
    "--env",
    "embedded",
    "--policy",
    "rules",
    "--difficulty",
    "easy",
    "--seed",
    "5",
    "--quiet",
)


def test_results_come_whatever_the_order() -> None:
    kept: list[int] = []
    told: list[tuple[int, int]] = []
    with worker_pool(2, None) as pool:
        run_jobs(pool, [Job(abs, (-n,), kept.append) for n in range(5)], lambda *now: told.append(now))
    assert sorted(kept) == [0, 1, 2, 3, 4] and told == [(n, 5) for n in range(1, 6)]


def test_the_job_of_a_killed_process_is_done_again_and_kept_once(tmp_path: Path) -> None:
    kept: list[int] = []
    jobs = [
        Job(killed_once, (0, tmp_path), kept.append),
        *(Job(abs, (n,), kept.append) for n in range(1, 9)),
    ]
    with worker_pool(2, None) as pool:
        run_jobs(pool, jobs)
    assert sorted(kept) == list(range(9))


def test_a_job_that_kills_every_worker_is_given_up() -> None:
    with worker_pool(2, None) as pool, pytest.raises(SettingsError, match="3 workers were lost over one job"):
        run_jobs(pool, [Job(os._exit, (1,), print)])


def test_several_processes_score_as_one_does(tmp_path: Path) -> None:
    def scored(jobs: int) -> list[dict[str, object]]:
        file = tmp_path / f"{jobs}.json"
        line = f"evaluate --simulate 20 --ranker heuristic,random --quiet --jobs {jobs} --json {file}"
        assert answer(line.split()) == 0
        return [{**r, "ms_per_ranking": 0} for r in json.loads(file.read_text())["results"]]

    assert scored(1) == scored(2)


def test_several_processes_store_what_one_stores(tmp_path: Path) -> None:
    def stored(name: str, *options: str) -> str:
        assert answer([*COLLECT, "--episodes", "12", "--out", str(tmp_path / name), *options]) == 0
        return hashlib.sha256((tmp_path / name / "episodes.jsonl").read_bytes()).hexdigest()

    assert stored("one") == stored("two", "--jobs", "2") == stored("three", "--concurrency", "3")


def test_what_several_processes_cannot_keep_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = ("--run-tokens", "5", "--jobs", "2", "--out", str(tmp_path / "c"))
    assert answer([*COLLECT, "--episodes", "2", *budget]) == 2
    assert "work in one process only" in capsys.readouterr().err


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    pytest.importorskip("ray")
    for nowhere in ("127.0.0.1:1", "127.0.0.1:port"):
        with pytest.raises(SettingsError, match=f"--ray {nowhere}: no Ray cluster there") as refused:
            worker_pool(1, nowhere)
        assert "\n" not in str(refused.value)
