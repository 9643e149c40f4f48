"""`import` turns telemetry into incidents, `label` adds root causes, and other commands use them."""

import gzip
import json
from pathlib import Path

import pytest
import shop_telemetry as shop

from agent.cli import answer


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prom.json").write_text(shop.matrix(shop.span_metrics()))
    alerts = [{**shop.alert("payment", "PaymentDown"), "startsAt": "2023-11-14T22:29:00Z"}]
    (tmp_path / "alerts.json").write_text(json.dumps(alerts))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert answer(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_from_telemetry_to_a_labelled_incident(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["import", "prom.json", "alerts.json", "--out", "day/incidents.jsonl"]) == 0
    assert "6 services, 1 alert, " in capsys.readouterr().err
    assert answer(["rank", "day/incidents.jsonl", "--json", "imported.json", "--quiet"]) == 0
    assert answer(["rank", "prom.json", "alerts.json", "--json", "direct.json"]) == 0
    assert "1. payment" in capsys.readouterr().out
    assert json.loads(Path("imported.json").read_text()) == json.loads(Path("direct.json").read_text())
    assert answer(["label", "day/incidents.jsonl", "payment", "--fault", "delay"]) == 0
    assert (
        answer(["evaluate", "--incidents", "day", "--ranker", "zscore", "--json", "out.json", "--quiet"]) == 0
    )
    [result] = json.loads(Path("out.json").read_text())["results"]
    assert (result["n"], result["ac@1"], list(result["by_fault"])) == (1, 1.0, ["delay"])


def test_what_import_writes_to_stdout_is_read_from_stdin(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(["import", "prom.json", "--at", "2023-11-14T22:28:20Z"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["start"] == shop.times[60] and captured.err == ""


def test_a_label_leaves_the_rest_as_it_was(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"incident_id": "one", "call_graph": {"web": ["db"]}, "mine": [1, {"x": None}]}
    other = {"incident_id": "other", "call_graph": {"a": []}}
    path = nowhere / "past.jsonl.gz"
    path.write_bytes(gzip.compress(f"{json.dumps(one)}\n{json.dumps(other)}\n".encode()))
    assert "--incident one" in said(capsys, "label", "past.jsonl.gz", "db")
    assert "did you mean 'web'?" in said(capsys, "label", "past.jsonl.gz", "wbe", "--incident", "one")
    assert "no incident 'x'" in said(capsys, "label", "past.jsonl.gz", "db", "--incident", "x")
    assert answer(["label", "past.jsonl.gz", "db", "web", "--incident", "one"]) == 0
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert lines == [{**one, "root_causes": ["db", "web"]}, other]
    (nowhere / "one.json").write_text(json.dumps(one, indent=1))
    assert answer(["label", "one.json", "db"]) == 0
    assert json.loads((nowhere / "one.json").read_text()) == {**one, "root_causes": ["db"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["import", "absent.json"], "no such file"),
        (["import", "prom.json", "--at", "yesterday"], "ISO date"),
        (["import", "prom.json", "--at", "2030-01-01"], "last value is from 2023-11-14"),
        (["label", "prom.json", "payment"], "an incident such as"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], told: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in said(capsys, *arguments)
