"""`serve`, `check` and `run` against a real server, over HTTP and WebSocket."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import answer
from data.simulator.server.serving import RunningServer

RUN = (
    "run",
    "--ranker",
    "heuristic",
    "--policy",
    "rules",
    "--episodes",
    "3",
    "--difficulty",
    "easy",
    "--quiet",
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SPACE_URL", "INFERENCE_REPORT_REWARDS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with RunningServer() as server:
        yield server.url


def test_every_transport_plays_the_same_lines(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for where in (
        ["embedded"],
        [url, "--transport", "http"],
        [url, "--transport", "ws", "--concurrency", "3"],
        [url],
    ):
        assert answer([*RUN, "--env", *where]) == 0
        said.append(capsys.readouterr().out)
    assert said[0].count("[END]") == 3
    assert all(lines == said[0] for lines in said)


def test_a_server_with_one_episode_for_all_takes_one_task_at_a_time(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([*RUN, "--env", url, "--transport", "http", "--concurrency", "2"]) == 2
    assert "--concurrency 1" in capsys.readouterr().err


@pytest.mark.parametrize("transport", ["http", "ws"])
def test_our_server_keeps_the_contract(url: str, transport: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["check", "--env", url, "--transport", transport, "--json", "check.json"]) == 0
    result = json.loads(Path("check.json").read_text())
    assert result["failed"] == 0 and len(result["rules"]) > 20
    assert "0 fail" in capsys.readouterr().out


def test_check_names_what_fails_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    """A plain web server fails every rule."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Stock(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stock) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        where = f"http://127.0.0.1:{server.server_address[1]}"
        assert answer(["check", "--env", where, "--transport", "http", "--quiet"]) == 1
        server.shutdown()
    assert "FAIL  an-episode-plays-through" in capsys.readouterr().out


def test_a_run_on_a_server_that_was_found_goes_on_there_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunningServer() as running:
        monkeypatch.setenv("SPACE_URL", running.url)
        assert answer([*RUN, "--episodes", "2", "--out", "r"]) == 0
        if json.loads(Path("r/run.json").read_text())["environment"] != running.url:
            pytest.skip("another server answers on a port that is probed first")
        monkeypatch.delenv("SPACE_URL")
        episodes = Path("r/episodes.jsonl")
        episodes.write_text(episodes.read_text().splitlines(keepends=True)[0])
        assert answer(["run", "--resume", "r", "--quiet"]) == 0
    assert len(episodes.read_text().splitlines()) == 2
    episodes.write_text("")
    capsys.readouterr()
    assert answer(["run", "--resume", "r", "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and running.url in captured.err


def serving(port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """Runs a server process; yields its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "serve", "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    assert process.stderr is not None
    return process, next(w for line in process.stderr for w in line.split() if w.startswith("http://"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_stops_on_a_signal(number: signal.Signals) -> None:
    process, where = serving()
    assert answer([*RUN, "--env", where]) == 0
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "Traceback" not in err


@pytest.mark.parametrize("transport", ["http", "ws"])
def test_a_server_that_dies_ends_each_task_with_its_reason_and_a_resumed_run_is_whole(
    transport: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server, where = serving()
    command = [*RUN, "--episodes", "12", "--env", where, "--transport", transport, "--out", "r"]
    run = subprocess.Popen(
        [sys.executable, "-m", "agent", *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    assert run.stdout is not None
    next(line for line in run.stdout if line.startswith("[STEP]"))
    server.kill()
    server.communicate()
    rest = run.communicate(timeout=60)[0]
    assert run.returncode == 1 and rest.count("[END]") == 12
    errors = [json.loads(line)["error"] for line in Path("r/episodes.jsonl").read_text().splitlines()]
    assert len(errors) == 12 and any(where.split("//")[1] in (error or "") for error in errors)
    server, _ = serving(int(where.rpartition(":")[2]))
    assert answer(["run", "--resume", "r", "--quiet"]) == 0
    server.terminate()
    server.communicate()
    episodes = [json.loads(line) for line in Path("r/episodes.jsonl").read_text().splitlines()]
    assert len({e["seed"] for e in episodes}) == len(episodes) == 12
    steps = [json.loads(line) for line in Path("r/steps.jsonl").read_text().splitlines()]
    assert sum(e["steps"] for e in episodes) == len(steps)


def test_a_server_that_nobody_named_is_announced(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_URL", url)
    run = [word for word in RUN if word != "--quiet"]
    assert answer([*run, "--episodes", "1"]) == 0
    said = capsys.readouterr().err
    assert said.index("No --env was given") < said.index("[1/1]")
    assert answer([*run, "--episodes", "1", "--env", url]) == 0
    assert "No --env was given" not in capsys.readouterr().err
