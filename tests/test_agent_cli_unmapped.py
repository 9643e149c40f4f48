"""Notes of `rank`, `evaluate` and `train` on metric names without a channel."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli import answer
from data.simulator import catalogue

TOLD = "give them a meaning with --rules FILE\n"
SMALL = ("train", "--hidden", "8", "--layers", "1", "--device", "cpu", "--epochs", "1")
SERVICES = ("web", "db")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def incident(*metrics: str, alerts: tuple[str, ...] = ()) -> dict[str, Any]:
    """An incident with the same metrics at both services, and metric alerts at one."""
    points = {"baseline": [1.0, 1.1, 0.9, 1.0], "incident": [2.0]}
    return {
        "incident_id": "one",
        "call_graph": {"web": ["db"], "db": []},
        "telemetry": {name: dict.fromkeys(metrics, points) for name in SERVICES},
        "alerts": [{"kind": "metric", "service": "db", "name": name, "direction": "up"} for name in alerts],
        "root_causes": ["db"],
    }


def written(case: dict[str, Any], name: str = "case.jsonl") -> str:
    Path(name).write_text(json.dumps(case) + "\n", encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("metrics", "alerts", "said"),
    [
        (("zorp", "cpu"), (), "1 unknown metric or alert name, not read: zorp – "),
        (("cpu",), ("zorp", "memory"), "1 unknown metric or alert name, not read: zorp – "),
        (
            tuple("gfedcba"),
            (),
            "7 unknown metric or alert names, not read: a, b, c, d, e and 2 more – ",
        ),
        (("\x1b[2Jzorp\n",), (), "1 unknown metric or alert name, not read: [2Jzorp – "),
    ],
)
def test_rank_says_once_what_is_not_read(
    metrics: tuple[str, ...], alerts: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case = written(incident(*metrics, alerts=alerts))
    assert answer(["rank", case, "--json", "out.json"]) == 0
    assert capsys.readouterr().err == said + TOLD
    found = json.loads(Path("out.json").read_text(encoding="utf-8"))["unmapped_metrics"]
    assert found == sorted({*metrics, *alerts} - {"cpu", "memory"})
    assert answer(["rank", case, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_evaluate_and_train_say_so_too_and_rules_mend_it(capsys: pytest.CaptureFixture[str]) -> None:
    case = written(incident("zorp", "moon_phase", "cpu"))
    said = f"2 unknown metric or alert names, not read: moon_phase, zorp – {TOLD}"
    evaluate = ["evaluate", "--incidents", case, "--ranker", "gnn,zscore", "--simulate", "3", "--json", "-"]
    assert answer(evaluate) == 0
    captured = capsys.readouterr()
    assert captured.err.count(said) == 1
    assert json.loads(captured.out)["unmapped_metrics"] == ["moon_phase", "zorp"]
    assert answer([*SMALL, "--incidents", case, "--simulate", "20", "--out", "mine"]) == 0
    assert capsys.readouterr().err.count(said) == 1
    rules = '[[rule]]\nchannel = "cpu"\npatterns = ["^zorp$"]\n[[rule]]\nchannel = ""\npatterns = ["moon"]\n'
    Path("rules.toml").write_text(rules, encoding="utf-8")
    assert answer([*evaluate, "--rules", "rules.toml"]) == 0
    captured = capsys.readouterr()
    assert "channel" not in captured.err and json.loads(captured.out)["unmapped_metrics"] == []


def test_training_tells_of_healthy_windows_and_history(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer([*SMALL, "--simulate", "20", "--out", "start", "--quiet"]) == 0
    start = ("train", "--device", "cpu", "--init", "start", "--out", "mine")
    healthy = written(incident("cpu", "zorp"), "healthy.jsonl")
    assert answer([*start, "--healthy", healthy, "--simulate", "8", "--epochs", "1"]) == 0
    assert "not read: zorp" in capsys.readouterr().err
    assert answer([*start, "--history", written(incident(alerts=("blip",)), "past.jsonl")]) == 0
    assert "not read: blip" in capsys.readouterr().err


def test_what_the_environment_shows_is_known_or_left_aside(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [task.model_dump() for task in catalogue.catalogue()]
    (nowhere / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    collect = ["collect", "--env", "embedded", "--tasks", "tasks.json", "--out", "played", "--quiet"]
    assert answer(collect) == 0
    capsys.readouterr()
    stored = "played/episodes.jsonl"
    assert answer(["evaluate", "--episodes-from", stored, "--ranker", "random", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert "channel" not in captured.err and json.loads(captured.out)["unmapped_metrics"] == []


def test_what_was_recorded_is_known_or_left_aside(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traffic, incidents = str(shared / "firewatch" / "traffic"), str(shared / "incidents")
    asked = ["evaluate", "--episodes-from", traffic, "--incidents", incidents, "--ranker", "none"]
    assert answer([*asked, "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert "channel" not in captured.err and json.loads(captured.out)["unmapped_metrics"] == []
