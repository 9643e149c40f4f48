"""`firewatch investigate` from the outside: who it names, what it keeps, and what it never does."""

import json
from pathlib import Path
from typing import Any

import pytest
from sick_shop import sick_shop
from telemetry_server import telemetry_server
from test_agent_cli_diagnose import sick

from agent.cli import answer
from data.incident import Incident
from data.sources.own_form import to_json


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "API_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def saved(folder: Path, incident: Incident | None = None) -> Path:
    file = folder / "incident.json"
    file.write_text(json.dumps(to_json(incident or sick_shop())))
    return file


def investigated(folder: Path, *options: str, incident: Incident | None = None) -> dict[str, Any]:
    out = folder / "answer.json"
    file = saved(folder, incident)
    assert answer(["investigate", "--incident", str(file), "--json", str(out), *options]) == 0
    record: dict[str, Any] = json.loads(out.read_text())
    return record


def test_the_rules_name_the_culprit_with_evidence_rivals_and_a_command(tmp_path: Path) -> None:
    told = investigated(tmp_path, "--namespace", "shop")
    assert (told["verdict"], told["culprits"]) == ("culprit", ["stock"]) and told["confidence"] > 0.5
    assert any("error_rate rose" in one["text"] for one in told["evidence"])
    assert {one["service"] for one in told["rivals"]} == {"cart", "web", "users"}
    assert "it calls stock" in next(one["why_not"] for one in told["rivals"] if one["service"] == "cart")
    assert told["next_action"]["command"].startswith("kubectl -n shop ")
    assert set(told["decided_by"]) == {"rules"}


def test_where_nothing_is_wrong_nobody_is_named(tmp_path: Path) -> None:
    told = investigated(tmp_path, incident=sick_shop({}))
    assert (told["verdict"], told["culprits"], told["next_action"]["command"]) == ("nobody", [], "")


def test_an_incident_without_services_ends_without_a_name(tmp_path: Path) -> None:
    empty = Incident("empty", ("alone",), {})
    assert investigated(tmp_path, incident=empty)["verdict"] in ("nobody", "unsure")


def test_words_and_markdown_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(saved(tmp_path))
    assert answer(["investigate", "--incident", file]) == 0
    plain = capsys.readouterr().out
    assert answer(["investigate", "--incident", file, "--markdown"]) == 0
    marked = capsys.readouterr().out
    assert plain.startswith("Culprit: stock (") and marked.startswith("**Culprit: stock (")
    for title in ("Evidence", "Why not", "Next"):
        assert f"\n{title}:" in plain and f"\n### {title}\n" in marked


def test_live_evidence_carries_its_queries(tmp_path: Path) -> None:
    out = tmp_path / "answer.json"
    with telemetry_server(sick) as url:
        asked = ["investigate", "--prometheus", url, "--at", "2026-05-01T10:00:00Z", "--json", str(out)]
        assert answer(asked) == 0
    told = json.loads(out.read_text())
    assert told["culprits"] == ["b"]
    assert any("process_resident_memory_bytes" in one["query"] for one in told["evidence"])


def test_the_folder_holds_the_incident_and_every_step(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    investigated(tmp_path, "--out", str(folder))
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    [episode] = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    assert episode["steps"] == len(steps) > 3 and episode["error"] is None and steps[-1]["done"]
    assert answer(["label", str(folder / "incident.jsonl"), "stock"]) == 0


@pytest.mark.parametrize("one", ["--allow-remedies", "--approve"])
def test_one_switch_alone_is_refused(one: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["investigate", "--incident", str(saved(tmp_path)), one]) == 2
    assert "together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [([], "--prometheus URL"), (["--incident", "nowhere.json"], "no such file"), (["--looks", "0"], "looks")],
)
def test_nothing_to_investigate(given: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["investigate", *given]) == 2
    assert told in capsys.readouterr().err
