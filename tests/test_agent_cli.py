"""The commands as scripts see them: output, files and exit status."""

import gzip
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli import answer
from agent.llm.weights import can_run_smol

COMMANDS = ("run", "collect", "train", "evaluate", "ablate", "rank", "report", "serve", "check", "export")
FAST = ("--env", "embedded", "--ranker", "heuristic")
VARIABLES = (
    "HF_TOKEN",
    "OPENAI_API_KEY",
    "API_BASE_URL",
    "MODEL_NAME",
    "SPACE_URL",
    "INFERENCE_REPORT_REWARDS",
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory without outside settings."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_help_lists_every_command_and_answers_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer([]) == answer(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f" {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_and_the_common_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Example: firewatch {command}" in out
    assert all(option in out for option in ("--json", "--seed", "--quiet"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "No such command 'fly'"),
        (["run", "--ranker", "oracle"], "'oracle' is not one of"),
        (["run", *FAST, "--test-run", "--episodes", "2"], "--test-run and --episodes"),
        (["run", *FAST, "--task", "task_nobody_knows"], "task_nobody_knows"),
        (["run", *FAST, "--tasks", "absent.json"], "absent.json"),
        pytest.param(
            ["run", *FAST, "--test-run", "--policy", "llm"],
            "HF_TOKEN",
            marks=pytest.mark.skipif(can_run_smol(), reason="here the small model plays without a key"),
        ),
        (["run", "--env", "localhost", "--test-run", "--ranker", "none"], "localhost"),
        (["run", "--env", "http://127.0.0.1:9", "--test-run", "--ranker", "none"], "127.0.0.1:9"),
        (["run", "--resume", "nothing-there"], "nothing-there"),
        (["run", *FAST, "--test-run", "--approve"], "--approve"),
        (["run", *FAST, "--checkpoint", "nowhere", "--ranker", "gnn", "--test-run"], "nowhere"),
        (["rank", "absent.json"], "absent.json"),
        (["export", "nothing-there"], "nothing-there"),
        (["collect", *FAST, "--labels", "absent.json", "--episodes", "1"], "absent.json"),
        (["run", *FAST, "--test-run", "--task-timeout", "0"], "--task-timeout"),
        (["run", *FAST, "--test-run", "--llm-timeout", "-1"], "--llm-timeout"),
        (["collect", *FAST, "--task-timeout", "nan"], "--task-timeout"),
    ],
)
def test_unusable_input_is_one_clear_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([*arguments, *(["--quiet"] if arguments[0] != "fly" else [])]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and said in captured.err


@pytest.mark.parametrize(
    ("file", "content", "arguments"),
    [
        ("run/run.json", b"{", ["run", "--resume", "run"]),
        ("run/run.json", b"[]", ["run", "--resume", "run"]),
        ("run/run.json", b"\xff\xfe", ["run", "--resume", "run"]),
        ("result.json", b"\xff\xfe", ["report", "result.json"]),
        ("result.json", b"\xff\xfe", ["ablate", "--test-run", "--against", "result.json"]),
        (".env", b"MODEL_NAME=\xff", ["run", *FAST, "--test-run"]),
        ("case.json.gz", gzip.compress(b'{"services": {}}', mtime=0)[:-9], ["rank", "case.json.gz"]),
        ("case.json.gz", b"not packed", ["rank", "case.json.gz"]),
        ("case.json", b"\xff\xfe", ["rank", "case.json"]),
    ],
)
def test_a_broken_file_is_one_clear_line_that_names_it(
    file: str, content: bytes, arguments: list[str], capsys: pytest.CaptureFixture[str], nowhere: Path
) -> None:
    (nowhere / file).parent.mkdir(exist_ok=True)
    (nowhere / file).write_bytes(content)
    assert answer([*arguments, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and file in captured.err


def test_a_run_prints_the_evaluators_lines_alone_and_writes_its_folder(
    capsys: pytest.CaptureFixture[str], nowhere: Path
) -> None:
    assert answer(["run", *FAST, "--test-run", "--out", "r", "--json", "result.json"]) == 0
    captured = capsys.readouterr()
    told = captured.out.splitlines()
    assert [line for line in told if not line.startswith(("[START] ", "[STEP] ", "[END] "))] == []
    assert [line.split()[1] for line in told if line.startswith("[START]")] == [
        "task=task_easy_oom_baseline",
        "task=task_medium_cascade_memleak",
        "task=task_hard_config_drift_noise",
    ]
    assert "rules decide" in captured.err and "solved" in captured.err
    run = json.loads((nowhere / "r/run.json").read_text())
    assert {"config", "versions", "seed", "model", "ranker", "checkpoint_sha256", "transport"} <= set(run)
    episodes = lines(nowhere / "r/episodes.jsonl")
    assert json.loads((nowhere / "result.json").read_text())["episodes"] == episodes
    assert [sum(s["task"] == e["task"] for s in lines(nowhere / "r/steps.jsonl")) for e in episodes] == [
        e["steps"] for e in episodes
    ]


def test_quiet_means_nothing_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", *FAST, "--episodes", "1", "--difficulty", "easy", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_watching_shows_each_step_whole_and_leaves_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", *FAST, "--task", "task_easy_oom_baseline"]
    assert answer(command) == 0
    plain = capsys.readouterr().out
    assert answer([*command, "--watch", "--pace", "0"]) == 0
    captured = capsys.readouterr()
    assert captured.out == plain
    assert captured.err.count("SLO budget") == plain.count("[STEP]")
    assert "called by api-gateway" in captured.err


def test_names_from_outside_do_not_command_the_terminal(
    capsys: pytest.CaptureFixture[str], nowhere: Path
) -> None:
    name = "\x1b]0;owned\x07[red]a\nb"
    case = {"services": {name: {"http_server_error_rate": 0.9, "status": "critical"}}}
    (nowhere / "case.json").write_text(json.dumps(case))
    assert answer(["rank", "case.json", "--ranker", "heuristic"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "]0;owned [red]a b" in out


def test_results_on_stdout_are_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", *FAST, "--episodes", "2", "--difficulty", "easy", "--json", "-", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["episodes"]) == 2
    assert "[END]" in captured.err


def test_rewards_are_reported_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCE_REPORT_REWARDS", "1")
    assert answer(["run", *FAST, "--episodes", "1", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert " reward=" in out and " score=" in out and " rewards=" in out


def test_the_same_seed_gives_the_same_lines_whatever_the_concurrency(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = []
    for players in ("1", "3"):
        assert (
            answer(["run", *FAST, "--episodes", "4", "--seed", "7", "--concurrency", players, "--quiet"]) == 0
        )
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


def test_a_resumed_run_plays_what_is_missing_and_refuses_to_become_another(
    capsys: pytest.CaptureFixture[str], nowhere: Path
) -> None:
    options = ["run", *FAST, "--episodes", "3", "--difficulty", "easy", "--quiet"]
    assert answer([*options, "--out", "r"]) == 0
    whole = capsys.readouterr().out
    episodes = (nowhere / "r/episodes.jsonl").read_text().splitlines(keepends=True)
    (nowhere / "r/episodes.jsonl").write_text("".join(episodes[:2]))
    assert answer(["run", "--resume", "r", "--quiet"]) == 0
    assert whole.endswith(capsys.readouterr().out)
    assert len(lines(nowhere / "r/episodes.jsonl")) == 3
    assert answer([*options, "--resume", "r"]) == 0
    assert capsys.readouterr().out == ""
    assert answer([*options, "--resume", "r", "--ranker", "none"]) == 2
    assert "--ranker" in capsys.readouterr().err
    assert answer([*options, "--out", "r"]) == 2
    assert "--resume r" in capsys.readouterr().err


def test_keys_are_never_written(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, nowhere: Path
) -> None:
    """Neither when the endpoint refuses the key, nor when it comes from a parent folder's .env."""
    (nowhere / ".env").write_text(
        "OPENAI_API_KEY=sk-very-secret\nAPI_BASE_URL=http://u:pass@127.0.0.1:9/v1\n"
    )
    (nowhere / "below").mkdir()
    monkeypatch.chdir(nowhere / "below")
    assert answer(["run", *FAST, "--episodes", "1", "--difficulty", "easy", "--out", "r"]) == 0
    captured = capfd.readouterr()
    assert "llm_fallback:" in captured.out
    written = "".join(path.read_text() for path in Path("r").rglob("*") if path.is_file())
    for secret in ("sk-very-secret", "pass@"):
        assert secret not in written + captured.out + captured.err


def test_collected_episodes_carry_the_truth_or_the_files_word(nowhere: Path) -> None:
    collect = ["collect", *FAST, "--episodes", "3", "--difficulty", "easy", "--seed", "5", "--quiet"]
    assert answer([*collect, "--out", "told", "--json", "told.json"]) == 0
    told = lines(nowhere / "told/episodes.jsonl")
    assert [e["labels"]["origin"] for e in told] == ["environment"] * 3
    assert json.loads((nowhere / "told.json").read_text())["labels"] == {"environment": 3}
    name = f"easy/{told[0]['task']['seed']}"
    (nowhere / "labels.json").write_text(json.dumps({name: ["db-proxy"]}))
    assert answer([*collect, "--out", "filed", "--labels", "labels.json"]) == 0
    filed = lines(nowhere / "filed/episodes.jsonl")
    assert filed[0]["labels"] == {"root_causes": ["db-proxy"], "origin": "file"}
    assert answer([*collect, "--resume", "filed"]) == 0
    assert lines(nowhere / "filed/episodes.jsonl") == filed


def test_a_collection_that_goes_on_plays_what_it_was_asked_for_at_first(
    capsys: pytest.CaptureFixture[str], nowhere: Path
) -> None:
    told = {"easy/1": ["nobody"]}
    (nowhere / "labels.json").write_text(json.dumps(told))
    asked = [*FAST, "--episodes", "3", "--difficulty", "easy", "--labels", "labels.json"]
    assert answer(["collect", *asked, "--out", "e", "--quiet"]) == 0
    store = nowhere / "e/episodes.jsonl"
    whole = lines(store)
    store.write_text(store.read_text().splitlines(keepends=True)[0])
    assert answer(["collect", "--resume", "e", "--concurrency", "2", "--quiet"]) == 0
    assert sorted(lines(store), key=str) == sorted(whole, key=str)
    capsys.readouterr()
    for options, said in (
        (["--resume", "e", "--episodes", "4"], "--episodes"),
        (["--resume", "e", "--labels", "others.json"], "--labels"),
        (["--resume", "e", "--out", "f"], "different folders"),
        (["--resume", "f"], "collect.json"),
        (["--out", "e"], "--resume e"),
    ):
        assert answer(["collect", *options, "--quiet"]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1 and said in captured.err
    assert not (nowhere / "f").exists()


@pytest.mark.parametrize("form", ["observation", "answer", "window", "recording line"])
def test_one_case_in_suspects_out(form: str, capsys: pytest.CaptureFixture[str], nowhere: Path) -> None:
    assert answer(["run", *FAST, "--episodes", "1", "--out", "r", "--quiet"]) == 0
    observations = [step["observation"] for step in lines(nowhere / "r/steps.jsonl")]
    cases: dict[str, object] = {
        "observation": observations[0],
        "answer": {"observation": observations[0], "reward": 0.0, "done": False},
        "window": observations[:2],
        "recording line": {"response": {"observation": observations[0]}, "path": "/reset"},
    }
    (nowhere / "case.json").write_text(json.dumps(cases[form]))
    capsys.readouterr()
    assert answer(["rank", "case.json", "--ranker", "heuristic", "--json", "out.json"]) == 0
    ranking = json.loads((nowhere / "out.json").read_text())
    assert ranking["candidates"] and f"1. {ranking['candidates'][0]['service']}" in capsys.readouterr().out


def test_evaluate_says_where_plots_come_from_and_they_do(
    capsys: pytest.CaptureFixture[str], nowhere: Path
) -> None:
    asked = ["evaluate", "--simulate", "5", "--ranker", "zscore", "--json"]
    assert answer([*asked, "figures.json"]) == 0
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("Plots: firewatch ")
    assert answer(said.removeprefix("Plots: firewatch ").split()) == 0
    assert (nowhere / "figures.html").stat().st_size
    capsys.readouterr()
    assert answer([*asked, "-"]) == answer([*asked, "figures.json", "--quiet"]) == 0
    assert "Plots" not in capsys.readouterr().err


def test_rank_says_what_the_network_goes_by(capsys: pytest.CaptureFixture[str], nowhere: Path) -> None:
    rates = {"api": 0.2, "db": 0.9, "cache": 0.01}
    services = {name: {"http_server_error_rate": rate} for name, rate in rates.items()}
    case = {"services": services, "dependency_graph": {"api": ["db", "cache"]}}
    (nowhere / "case.json").write_text(json.dumps(case))
    assert answer(["rank", "case.json", "--attribute", "--top", "1", "--json", "out.json"]) == 0
    out, found = capsys.readouterr().out, json.loads((nowhere / "out.json").read_text())
    first = found["candidates"][0]["service"]
    assert set(found["attribution"]) == {first} and "evidence for it, in shares: " in out
    parts = found["attribution"][first]["parts"]
    assert sum(part["share"] for part in parts if part["contribution"] > 0) == pytest.approx(1.0)
    assert f"{parts[0]['words']} {100 * parts[0]['share']:.0f} %" in out
    assert answer(["rank", "case.json", "--json", "out.json", "--quiet"]) == 0
    assert "attribution" not in json.loads((nowhere / "out.json").read_text())
    assert answer(["rank", "case.json", "--attribute", "--ranker", "zscore"]) == 2
    assert "choose gnn" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"a": 1}', '{"services": 3}', "[1, 2]"])
def test_a_case_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str], nowhere: Path) -> None:
    (nowhere / "case.json").write_text(text)
    assert answer(["rank", "case.json", "--ranker", "heuristic"]) == 2
    assert "case.json" in capsys.readouterr().err


def started(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )


def steps_of(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line for line in process.stdout if line.startswith("[STEP]"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_parseable_lines_whole_files_and_status_130(
    number: signal.Signals, nowhere: Path
) -> None:
    process = started(["run", *FAST, "--episodes", "60", "--out", "r"])
    next(steps_of(process))
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "firewatch run --resume r" in err and "Traceback" not in err
    told = out.splitlines()
    assert told[-1] == "[END] success=false steps=0"
    assert told[-2].startswith("[START]")
    assert sum(line.startswith("[END]") for line in told) == 60
    kept = lines(nowhere / "r/episodes.jsonl") if (nowhere / "r/episodes.jsonl").exists() else []
    assert len(kept) < 60 and all(e["error"] is None for e in kept)


def test_a_run_killed_at_any_moment_is_whole_and_resumes(nowhere: Path) -> None:
    """Kills one run 10 times, each time later: no torn line, no repeated step."""
    moments = random.Random(1)
    forks = multiprocessing.get_context("fork")  # the runner's own code, without 10 times its start
    for kill in range(10):
        how = ["--resume", "r"] if kill else [*FAST, "--episodes", "60", "--out", "r"]
        process = forks.Process(target=answer, args=(["run", *how, "--quiet"],))
        process.start()
        while not (nowhere / "r/run.json").exists():
            time.sleep(0.005)
        time.sleep(moments.uniform(0.01, 0.15))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert answer(["run", "--resume", "r", "--quiet"]) == 0
    episodes, steps = lines(nowhere / "r/episodes.jsonl"), lines(nowhere / "r/steps.jsonl")
    assert len({e["seed"] for e in episodes}) == len(episodes) == 60
    assert sum(e["steps"] for e in episodes) == len(steps)
    for episode in episodes:
        numbers = [s["step"] for s in steps if s["seed"] == episode["seed"]]
        assert numbers == list(range(1, episode["steps"] + 1))
