"""`firewatch diagnose` from outside: what it prints, saves, writes and refuses."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from telemetry_server import telemetry_server
from test_data_live_faults import SECRET, healthy, prometheus_answer

from agent.cli import answer
from agent.live_diagnosis import moment_of, seconds_of
from data.sources.files.reading import read_incidents


def sick(_: str, path: str, parameters: Mapping[str, list[str]], __: Mapping[str, str]) -> object:
    """Memory of `b` grows eightfold in the last five minutes."""
    made = prometheus_answer(path, parameters)
    if "memory" in parameters.get("query", [""])[0] and path.endswith("query_range"):
        series = made["data"]["result"][1]  # type: ignore[index]
        end = float(parameters["end"][0])
        series["values"] = [[t, "40" if t > end - 300 else value] for t, value in series["values"]]
    return made


def test_suspects_come_with_evidence_and_the_query_that_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("incident.jsonl", "report.html", "out.json")]
    with telemetry_server(sick) as url:
        options = ["--save", str(files[0]), "--report", str(files[1]), "--json", str(files[2])]
        assert answer(["diagnose", "--prometheus", url, "--at", "2026-05-01T10:00:00Z", *options]) == 0
    out = capsys.readouterr().out
    query = 'max by (service_name) (process_resident_memory_bytes{service_name="b"})'
    assert re.search(r"1\. b .*\n.*memory", out) and query in out
    [incident] = read_incidents(files[0])
    assert incident.incident_id == "2026-05-01T10:00:00Z" and incident.start_s == 1777628700
    assert answer(["label", str(files[0]), "b"]) == 0
    assert read_incidents(files[0])[0].root_causes == ("b",)
    assert "process_resident_memory_bytes" in files[1].read_text()
    record = json.loads(files[2].read_text())
    assert record["candidates"][0]["service"] == "b" and query in record["candidates"][0]["queries"]


def test_nobody_to_ask(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["diagnose"]) == 2
    assert "--prometheus URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "told"),
    [("--window=soon", "90s, 15m"), ("--at=noon", "2026-11-30T09:15:00Z"), ("--by=node", "workload")],
)
def test_options_that_mean_nothing(option: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["diagnose", "--prometheus", "http://localhost", option]) == 2
    assert told in capsys.readouterr().err


def test_a_secret_is_in_no_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_TOKEN", SECRET)
    files = [tmp_path / name for name in ("incident.jsonl", "report.html", "out.json")]
    with telemetry_server(healthy) as url:
        address = url.replace("//", f"//me:{SECRET}@")
        options = ["--save", str(files[0]), "--report", str(files[1]), "--json", str(files[2])]
        assert answer(["diagnose", "--prometheus", address, "--at", "2026-05-01T10:00:00Z", *options]) == 0
    with telemetry_server(lambda *_: 401) as url:
        assert answer(["diagnose", "--prometheus", url.replace("//", f"//me:{SECRET}@")]) == 2
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err + "".join(file.read_text() for file in files)


def test_watching_shows_how_suspicion_moves_until_it_is_interrupted() -> None:
    with telemetry_server(sick) as url:
        command = [sys.executable, "-m", "agent", "diagnose", "--prometheus", url, "--watch", "1s"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("since the last look: "):
                    break
            process.terminate()
            process.stdout.read()
        assert process.returncode == 130
    assert "b " in line and "→" in line


def test_durations_and_moments() -> None:
    assert (seconds_of("90s"), seconds_of("1h30m"), seconds_of("7d")) == (90, 5400, 604800)
    assert moment_of("2026-05-01T10:00:00Z") == moment_of("2026-05-01T10:00:00") == moment_of("1777629600")
    assert abs(moment_of("now") - time.time()) < 5
