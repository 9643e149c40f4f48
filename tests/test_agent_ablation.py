"""An ablation's figures follow from the records of its arms, pair by pair."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.ablation import Arm, figures, hint_use
from agent.cli import answer


def episode(task: int, score: float | None, roots: list[str] | None = None) -> dict[str, Any]:
    return {
        "task": f"t{task}",
        "seed": task,
        "difficulty": "easy",
        "score": score,
        "success": (score or 0) >= 0.5,
        "steps": 3,
        "mitigated_at_tick": None,
        "wrong_actions": 0,
        "decisions": {"rules": 3},
        "tokens": {"prompt": 0, "completion": 0},
        "cost_usd": 0.0,
        "seconds": 0.1,
        "root_causes": roots or [],
    }


def step(task: int, hint: str, target: str, number: int = 1) -> dict[str, Any]:
    return {
        "task": f"t{task}", "seed": task, "step": number,
        "observation": {"dependency_graph": {f"a{task}": ["b"]}},
        "ranking": {"candidates": [{"service": hint}]},
        "action": {"action_type": "restart_service", "target_service": target},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("hint", "target", "what"),
    [
        ("a", "a", "followed"),
        ("a", "b", "overrode"),
        ("b", "b", "misled"),
        ("b", "a", "rescued"),
        ("b", "c", "lost"),
    ],
)
def test_what_became_of_a_hint(hint: str, target: str, what: str) -> None:
    used = hint_use(
        Arm("gnn", "llm", [episode(1, 0.9, ["a"])], [step(1, hint, target), step(1, "a", "a", 2)])
    )
    assert used == {**dict.fromkeys(("followed", "overrode", "misled", "rescued", "lost"), 0), what: 1}


def test_arms_are_compared_pair_by_pair_and_the_ungraded_are_counted() -> None:
    before = Arm(
        "none", "rules", [episode(n, 0.6) for n in range(40)], [step(n, "a", "a") for n in range(40)]
    )
    after = Arm("gnn", "rules", [episode(n, 0.7) for n in range(39)] + [episode(39, None)], before.steps)
    result = figures([before, after], seed=0)
    score = next(c for c in result["comparisons"] if c["measure"] == "score")
    assert (score["n"], score["unscored"], score["verdict"]) == (39, 1, "higher")
    assert score["difference"] == pytest.approx(0.1)
    assert result["arms"][1]["ungraded"] == 1 and result["arms"][1]["score"] == pytest.approx(0.7)
    assert result["arms"][0]["ticks_to_mitigation"] is None


def test_an_arm_against_itself_shows_no_difference() -> None:
    arm = Arm("gnn", "rules", [episode(n, 0.3 + n / 100) for n in range(30)], [])
    assert {c["verdict"] for c in figures([arm, arm], seed=0)["comparisons"]} == {"no difference shown"}


def test_the_command_plays_every_arm_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["ablate", "--ranker", "heuristic,none", "--policy", "rules,legacy-rules", "--episodes", "2"]
    command += ["--difficulty", "easy", "--seeds", "2", "--out", "ab"]
    assert answer(command) == 0
    assert "no difference shown" in capsys.readouterr().out
    first = json.loads(Path("ab/ablation.json").read_text())
    assert [(arm["arm"], arm["n"]) for arm in first["arms"]] == [
        ("heuristic+rules", 4), ("none+rules", 4), ("heuristic+legacy-rules", 4), ("none+legacy-rules", 4),
    ]  # fmt: skip
    lines = Path("ab/arms/none+rules/episodes.jsonl").read_text().splitlines(keepends=True)
    Path("ab/arms/none+rules/episodes.jsonl").write_text("".join(lines[:1]))
    assert answer([*command, "--quiet", "--json", "-"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [arm["score"] for arm in again["arms"]] == [arm["score"] for arm in first["arms"]]
