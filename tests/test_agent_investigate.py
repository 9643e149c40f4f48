"""`firewatch investigate` from the outside: who it names, what it keeps, and what it never does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fake_kubectl import FakeKubectl, kubectl
from llm_server import LLMServer
from sick_shop import sick_shop
from stand_in import follows_the_rules
from telemetry_server import telemetry_server
from test_agent_cli_diagnose import sick

from agent.cli import answer
from agent.investigation.investigate import investigate
from agent.investigation.options import InvestigateOptions
from agent.situation.decision import Situation
from data.incident import Incident
from data.observation import Action
from data.sources.files.reading import read_incidents
from data.sources.own_form import to_json

__all__ = ["kubectl"]


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
    assert "it depends on stock" in next(one["why_not"] for one in told["rivals"] if one["service"] == "cart")
    assert told["next_action"]["command"].startswith("kubectl -n shop ")
    assert set(told["decided_by"]) == {"rules"}


def test_where_nothing_is_wrong_nobody_is_named(tmp_path: Path) -> None:
    told = investigated(tmp_path, incident=sick_shop({}))
    assert (told["verdict"], told["culprits"], told["next_action"]["command"]) == ("nobody", [], "")


def test_an_incident_without_services_ends_without_a_name(tmp_path: Path) -> None:
    empty = Incident("empty", ("alone",), {})
    told = investigated(tmp_path, incident=empty)
    assert (told["verdict"], told["culprits"], told["reason"]) == (
        "unsure",
        [],
        "nothing is known about any service",
    )


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
    assert answer(["label", str(folder), "stock", "--fault", "disk"]) == 0
    [graded] = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    assert (graded["score"], graded["root_causes"], graded["steps"]) == (1.0, ["stock"], len(steps))
    assert read_incidents(folder / "incident.jsonl")[0].root_causes == ("stock",)


def test_the_steps_of_a_good_investigation_are_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, chat = tmp_path / "kept", tmp_path / "chat.jsonl"
    with LLMServer(follows_the_rules) as model:
        monkeypatch.setenv("API_BASE_URL", model.url)
        investigated(tmp_path, "--out", str(folder))
    for root, least in (("users", 0), ("stock", 4)):
        assert answer(["label", str(folder), root]) == 0
        assert answer(["export", str(folder), "--out", str(chat)]) == 0
        assert len(chat.read_text().splitlines()) >= least
    assert "stock" in chat.read_text()


def test_a_folder_without_an_investigation_is_not_labelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(["label", str(tmp_path), "stock"]) == 2
    assert "holds no investigation" in capsys.readouterr().err


def test_the_page_tells_the_same(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    told = investigated(tmp_path, "--report", str(page))
    shown = page.read_text()
    assert told["evidence"][0]["text"] in shown and told["next_action"]["command"] in shown
    assert "get_metrics_detail:stock" in shown


async def acted(folder: Path, allowed: bool, says: bool | None, kubectl: FakeKubectl) -> list[str]:
    """What kubectl was told to do by an investigation in which a person, if there is one, `says` so."""

    async def person(action: Action, situation: Situation) -> bool:
        return bool(says)

    switches = {"allow_remedies": True, "approve": True} if allowed else {}
    asked = InvestigateOptions(incident=(saved(folder),), kubernetes="current", namespace="shop", **switches)
    found = await investigate(asked, {}, approve=None if says is None else person)
    assert found.conclusion.culprits == ("stock",)
    carried_out = any("Carried out" in note for note in found.conclusion.notes)
    assert carried_out == bool(kubectl.acted)
    return kubectl.acted


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("says", [True, False, None])
def test_a_remedy_runs_with_both_switches_and_a_yes_only(
    allowed: bool, says: bool | None, tmp_path: Path, kubectl: FakeKubectl
) -> None:
    done = asyncio.run(acted(tmp_path, allowed, says, kubectl))
    assert len(done) == (1 if allowed and says else 0)
    assert all(line.startswith("-n shop ") and line.endswith("deployment/stock") for line in done)


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
