"""A checkpoint recognises the incidents it was trained with, and `evaluate` says so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli import answer
from data.simulator.batch.generate import simulate
from gnn.seen import mark_of, marks_of


def test_a_mark_is_of_the_evidence_and_not_of_the_labels() -> None:
    incidents = list(simulate(12, 5))
    assert len(set(map(mark_of, incidents))) == 12
    for one in incidents:
        assert mark_of(replace(one, root_causes=(), fault="", system="other")) == mark_of(one)
        shuffled = replace(one, services=one.services[::-1], telemetry=dict(reversed(one.telemetry.items())))
        assert mark_of(shuffled) == mark_of(one)
        assert mark_of(replace(one, incident_id="another")) != mark_of(one)
    assert marks_of(incidents[:3], marks_of(incidents[2:])) == marks_of(incidents)


def test_evaluate_warns_of_incidents_that_were_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def lines(first: int) -> str:
        made = []
        for number in range(first, first + 3):
            points = {"baseline": [1, 1, 1.5, 1], "incident": [9, 9, 8 + number]}
            one = {"incident_id": str(number), "call_graph": {"web": ["db"]}, "root_causes": ["db"]}
            made.append(json.dumps({**one, "telemetry": {"db": {"latency": points}}}) + "\n")
        return "".join(made)

    (tmp_path / "old.jsonl").write_text(lines(0), encoding="utf-8")
    (tmp_path / "new.jsonl").write_text(lines(3), encoding="utf-8")
    small = ["--hidden", "8", "--layers", "1", "--epochs", "1", "--device", "cpu", "--quiet"]
    assert answer(["train", "--simulate", "8", "--dev-incidents", "old.jsonl", *small, "--out", "mine"]) == 0
    score = ["evaluate", "--checkpoint", "mine", "--ranker", "gnn,heuristic"]
    assert answer([*score, "--incidents", "old.jsonl", "--incidents", "new.jsonl"]) == 0
    assert "'gnn' was trained with 3 of these 6 cases" in capsys.readouterr().err
    assert answer([*score, "--incidents", "new.jsonl"]) == 0
    assert "was trained with" not in capsys.readouterr().err
