"""`report` shows the output of `rank --json`, and every incident of a file is ranked."""

import json
from pathlib import Path

import pytest

from agent.cli import answer

SICK = {"http_server_error_rate": 0.9}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def window(sick: str) -> dict[str, object]:
    services = {name: SICK if name == sick else {} for name in ("api", "db", "cache")}
    return {"services": services, "dependency_graph": {"api": ["db", "cache"]}}


def incident(number: int, sick: str) -> str:
    rates = {name: {"error_rate": {"baseline": [0.0] * 20, "incident": [0.9 if name == sick else 0.0] * 5}}
             for name in ("api", "db")}  # fmt: skip
    return json.dumps({"incident_id": f"i{number}", "call_graph": {"api": ["db"]}, "telemetry": rates})


def test_one_ranking_becomes_a_page(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "case.json").write_text(json.dumps(window("db")), encoding="utf-8")
    assert answer(["rank", "case.json", "--json", "r.json"]) == 0
    said, record = capsys.readouterr().out, json.loads((nowhere / "r.json").read_text(encoding="utf-8"))
    first = record["candidates"][0]["service"]
    assert first == "db" and first in said
    chances = list(record["fault_kinds"].values())
    assert chances == sorted(chances, reverse=True) and 0 < sum(chances) <= 1
    assert answer(["report", "r.json", "--format", "md"]) == 0
    page = (nowhere / "r.md").read_text(encoding="utf-8")
    assert "db" in page and all(evidence in page for evidence in record["candidates"][0]["evidence"])
    assert next(iter(record["fault_kinds"])).replace("_", " ") in page
    assert answer(["report", "r.json", "--quiet"]) == 0 and (nowhere / "r.html").exists()


def test_every_incident_of_a_file_is_ranked(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [incident(1, "db"), incident(2, "api")]
    (nowhere / "two.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert answer(["rank", "two.jsonl", "--json", "r.json"]) == 0
    said = capsys.readouterr().out
    assert said.index("i1\n") < said.index("i2\n")
    whole = json.loads((nowhere / "r.json").read_text(encoding="utf-8"))["rankings"]
    assert [one["incident"] for one in whole] == ["i1", "i2"]
    for name, expected in zip(("i1", "i2"), whole, strict=True):
        assert answer(["rank", "two.jsonl", "--incident", name, "--json", "one.json", "--quiet"]) == 0
        assert json.loads((nowhere / "one.json").read_text(encoding="utf-8")) == expected
    assert answer(["report", "r.json", "--format", "md", "--quiet"]) == 0
    page = (nowhere / "r.md").read_text(encoding="utf-8")
    assert "2 incidents" in page and "i1" in page and "i2" in page


def test_a_ranking_that_does_not_parse_is_one_clear_line(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nowhere / "r.json").write_text('{"candidates": [{"service": "a"}], "ranker": "x"}', encoding="utf-8")
    assert answer(["report", "r.json"]) == 2
    assert "r.json: field 'candidates.0.score' is missing" in capsys.readouterr().err
