"""The notebook functions do what the commands do, and show results safely."""

import doctest
import json
from pathlib import Path
from typing import Any

import pytest
from test_agent_mcp_server import INCIDENT

import agent.api
from agent import explain, rank, read
from agent.cli import answer
from data.errors import SchemaError, SettingsError


@pytest.fixture
def incident_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = Path("incident.json")
    file.write_text(json.dumps(INCIDENT), encoding="utf-8")
    return file


def test_the_example_runs(incident_json: Path) -> None:
    ran = doctest.testmod(agent.api, optionflags=doctest.ELLIPSIS, raise_on_error=False)
    assert ran.attempted > 4 and not ran.failed


def test_it_says_what_the_command_says(incident_json: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = rank(read(incident_json)[0])
    assert answer(["rank", str(incident_json), "--json", "out.json"]) == 0
    assert capsys.readouterr().out.rstrip() == str(found)
    told = json.loads(Path("out.json").read_text())
    assert {name: told[name] for name in found.record()} == json.loads(json.dumps(found.record()))
    assert "db is the most likely root cause" in found._repr_html_()
    assert str(explain(found)).startswith("db: called by api; calls nobody.\n  - ")
    assert "2 callers" not in explain(found, "web")._repr_html_()


def test_names_from_outside_stay_text(incident_json: Path) -> None:
    evil = "<script>alert(1)</script>"
    hostile: dict[str, Any] = {**INCIDENT, "incident_id": evil, "call_graph": {evil: ["db"]}}
    incident_json.write_text(json.dumps(hostile), encoding="utf-8")
    incidents = read(incident_json)
    found = rank(incidents[0])
    for shown in (incidents, found, explain(found, evil)):
        assert "<script" not in shown._repr_html_()
    assert repr(incidents) == f"Incidents({evil})"


def test_what_is_not_there_is_told(incident_json: Path) -> None:
    with pytest.raises(SettingsError, match="there are "):
        explain(rank(read(incident_json)[0]), "nobody")
    with pytest.raises(SchemaError):
        read("nothing.json")
    with pytest.raises(ImportError, match="mend"):
        from agent import mend  # type: ignore[attr-defined]  # noqa: F401
