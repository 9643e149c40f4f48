"""The committed result of the rules against an expert reaches its target."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench_policies import by_expert, by_policy

from data.observation import DIFFICULTIES
from data.simulator.catalogue import smoke_tasks

FILE = Path(__file__).resolve().parents[1] / "checkpoints" / "results" / "policies.json"


def rows(tasks: str, policy: str, ranker: str, wording: str = "known") -> list[dict[str, Any]]:
    wanted = {"tasks": tasks, "policy": policy, "ranker": ranker, "wording": wording}
    found = json.loads(FILE.read_text(encoding="utf-8"))["results"]
    return [row for row in found if wanted.items() <= row.items()]


@pytest.mark.parametrize(("tasks", "n"), [("catalogue", 60), ("random", 300)])
def test_the_rules_come_close_to_an_expert_at_every_difficulty(tasks: str, n: int) -> None:
    ours = rows(tasks, "rules", "gnn")
    assert [row["difficulty"] for row in ours] == ["all", *DIFFICULTIES] and ours[0]["n"] == n
    assert all(row["share_of_expert"] >= 0.97 and row["solved"] >= 0.98 for row in ours)
    original = rows(tasks, "legacy-rules", "heuristic")
    assert all(a["mean_score"] > b["ci95"][1] for a, b in zip(ours, original, strict=True))


@pytest.mark.parametrize("tasks", ["catalogue", "random"])
def test_the_rules_read_logs_in_words_that_they_were_not_made_for(tasks: str) -> None:
    known, held_out = rows(tasks, "rules", "gnn"), rows(tasks, "rules", "gnn", "held_out")
    assert held_out[0]["mean_score"] >= 0.98 * known[0]["mean_score"] and held_out[0]["solved"] >= 0.98


def test_the_expert_solves_what_it_plays_and_the_rules_follow() -> None:
    best, ours = by_expert(smoke_tasks()), by_policy("rules", "heuristic", smoke_tasks())
    assert min(best) > 0.8 and sum(ours) > 0.95 * sum(best)
