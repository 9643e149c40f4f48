"""The figures of an ablation follow from the records of its arms."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from studies.tables import TextTable, markdown, rewrite, table_of

from agent.benchmark.arms import Arm, RankerSpec
from agent.benchmark.figures import MEASURES
from agent.benchmark.figures import figures as typed_figures
from agent.benchmark.hint_use import ArmEpisode, hint_use
from agent.benchmark.plan import Played, as_json
from agent.benchmark.regression_guard import check_regressions, read_condition
from agent.benchmark.results import AblationResult, RankedSource
from agent.report.ablation_report import ablation_report
from data.errors import SettingsError
from data.observation import parse


def episode(
    task: int,
    score: float | None = 0.7,
    hints: tuple[str, ...] = ("a",),
    target: str | None = "a",
    roots: tuple[str, ...] = ("a",),
) -> ArmEpisode:
    record = {
        "arm": "gnn+rules",
        "max_ticks": 9,
        "error": None,
        "task": f"t{task}",
        "seed": task,
        "difficulty": ("easy", "medium", "hard")[task % 3],
        "score": score,
        "success": (score or 0) >= 0.5,
        "steps": 4,
        "mitigated_at_tick": None,
        "wrong_actions": 0,
        "slo_budget_left": 50.0,
        "decisions": {"rules": 1, "llm": 3},
        "fallbacks": 1,
        "tokens": {"prompt": 10, "completion": 2},
        "cost_usd": 0.25,
        "seconds": 0.1,
        "root_causes": list(roots),
        "fault": "leak",
        "services": 3,
        "topology": f"graph{task // 2}",
        "first_remedy": None if target is None else {"step": 2, "target": target, "hints": list(hints)},
        "first_ranking": {
            "ac": [0.0] * 2 + [1.0] * 3,
            "mrr": 1 / 3,
            "chance": [0.2] * 5,
            "confidence": None,
        },
    }
    return parse(ArmEpisode, record, "episode")


def ranking(ranker: str, source: str, first: list[float], unscored: int = 0) -> dict[str, Any]:
    measures = {
        "n": len(first), "unscored": unscored, "ac@1": sum(first) / len(first), "ac@3": 1.0, "ac@5": 1.0,
        "avg@5": 0.9, "mrr": 0.8, "ece": None, "chance": {"ac@1": 0.25}, "ci95": {"ac@1": [0.1, 0.9]},
    }  # fmt: skip
    values = dict.fromkeys(("ac@1", "ac@3", "avg@5", "mrr"), first)
    kinds = [""] * len(first)
    return {
        "source": source, "ranker": ranker, **measures, "by_tick": {"0": measures}, "by_difficulty": {},
        "by_fault": {}, "by_services": {}, "reliability": [], "ms_per_ranking": 0.5,
        "risk_coverage": [{"threshold": 0.5, "coverage": k / 500, "risk": 0.1} for k in range(1, 501)],
        "first": {"clusters": [f"t{k // 2}" for k in range(len(first))], "kinds": kinds, **values},
    }  # fmt: skip


def figures(arms: list[Played], rankings: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """The result as its file has it."""
    result = typed_figures(arms, [RankedSource.model_validate(one) for one in rankings], seed)
    told: dict[str, Any] = as_json(result.record())
    return told


def in_words(result: dict[str, Any]) -> tuple[str, ...]:
    return ablation_report("it", AblationResult.model_validate(result), {}).points


def played(ranker: str, policy: str, episodes: list[dict[str, Any]]) -> Played:
    return Played(Arm(ranker, policy), episodes)


@pytest.mark.parametrize(
    ("hints", "target", "unaided", "counted"),
    [
        ("ab", "a", "a", {"followed", "followed_right", "in_top_1", "picked"}),
        ("ab", "a", "b", {"followed", "followed_right", "in_top_1", "picked", "rescued"}),
        ("ab", "b", "a", {"overrode", "overrode_right", "in_top_1"}),
        ("ba", "b", "c", {"followed", "followed_wrong"}),
        ("ba", "b", "a", {"followed", "followed_wrong", "misled"}),
        ("ba", "c", "a", {"overrode", "overrode_wrong"}),
        ("ba", "a", "a", {"overrode", "overrode_wrong", "picked"}),
    ],
)
def test_what_became_of_a_hint(hints: str, target: str, unaided: str, counted: set[str]) -> None:
    used = hint_use([episode(1, hints=tuple(hints), target=target)], [episode(1, hints=(), target=unaided)])
    always = {"labelled", "remedied", "hinted", "paired", "in_top_3", "in_top_5"}
    if "picked" in counted:
        counted = counted | {"picked_in_top_5"}
    assert {name for name, count in used.items() if count} == always | counted
    assert set(used.values()) <= {0, 1}


def test_what_is_not_known_is_not_counted() -> None:
    nobody = hint_use([episode(1, roots=())])
    assert not any(nobody.values())
    quiet = hint_use([episode(1, target=None), episode(2, hints=())])
    assert {name: count for name, count in quiet.items() if count} == {
        "labelled": 2, "remedied": 1, "picked": 1,
    }  # fmt: skip
    assert hint_use([episode(1)])["paired"] == 0


def test_arms_are_compared_pair_by_pair_and_the_ungraded_are_counted() -> None:
    before = played("none", "rules", [episode(n, 0.6) for n in range(40)])
    after = played("gnn", "rules", [episode(n, 0.7) for n in range(39)] + [episode(39, None)])
    result = figures([before, after], [], seed=0)
    score = next(c for c in result["comparisons"] if c["measure"] == "score")
    assert (score["n"], score["unscored"], score["verdict"]) == (39, 1, "higher")
    assert score["difference"] == pytest.approx(0.1) and score["clusters"] == 20
    arm = result["arms"][1]
    assert arm["ungraded"] == 1 and arm["score"] == pytest.approx(0.7) and arm["solved"] == 1.0
    assert arm["ticks_to_mitigation"] is None and arm["fallback_rate"] == 0.25 and arm["cost_usd"] == 0.25
    assert sum(group["n"] for group in arm["by_difficulty"].values()) == 40
    assert arm["first_ranking"]["ac@3"] == 1.0 and arm["first_ranking"]["ece"] is None
    assert "gnn+rules: 1 of 40 ended without a grade" in " ".join(in_words(result))


def test_episodes_without_a_grade_are_part_of_no_mean() -> None:
    graded, early = episode(1), episode(2, None).model_copy(update={"steps": 0, "slo_budget_left": None})
    (alone,) = figures([played("gnn", "rules", [graded])], [], seed=0)["arms"]
    result = figures([played("gnn", "rules", [graded, early])], [], seed=0)
    (arm,) = result["arms"]
    assert (arm["n"], arm["ungraded"]) == (2, 1)
    assert {name: arm[name] for name in MEASURES} == {name: alone[name] for name in MEASURES}
    assert {tuple(values[1:]) for values in result["values"]["episodes"]["values"]["gnn+rules"].values()} == {
        (None,)
    }


def test_an_arm_against_itself_shows_no_difference() -> None:
    episodes = [episode(n, 0.3 + n / 100) for n in range(30)]
    result = figures([played("gnn", "rules", episodes), played("none", "rules", episodes)], [], seed=0)
    assert {c["verdict"] for c in result["comparisons"]} == {"no difference shown"}


def test_each_policy_has_its_own_reference_and_policies_are_compared_with_the_same_hints() -> None:
    arms = [
        played(ranker, policy, [episode(1), episode(2)])
        for policy in ("rules", "llm")
        for ranker in ("gnn", "none")
    ]
    pairs = [
        (c["reference"], c["arm"]) for c in figures(arms, [], 0)["comparisons"] if c["measure"] == "score"
    ]
    assert pairs == [
        ("gnn+rules", "none+rules"), ("gnn+llm", "none+llm"),
        ("gnn+rules", "gnn+llm"), ("none+rules", "none+llm"),
    ]  # fmt: skip


def test_the_arm_without_hints_tells_who_was_rescued() -> None:
    arms = [
        played("gnn", "llm", [episode(1), episode(2)]),
        played("none", "llm", [episode(1, hints=(), target="b"), episode(2, hints=())]),
    ]
    hinted, unaided = (arm["hint_use"] for arm in figures(arms, [], 0)["arms"])
    assert (hinted["paired"], hinted["rescued"], hinted["misled"]) == (2, 1, 0)
    assert unaided["hinted"] == unaided["paired"] == 0


def planted(difference: float) -> dict[str, Any]:
    """300 paired cases: the second ranker flips some both ways and has `difference` more right in all."""
    before = [float(k % 10 < 7) for k in range(300)]
    after, gained = list(before), 0
    for k in range(0, 300, 25):
        after[k] = 1.0 - after[k]  # noise: right becomes wrong …
    lost = sum(b - a for a, b in zip(after, before, strict=True))
    for k, value in enumerate(before):
        if value == 0.0 and after[k] == 0.0 and gained < lost + difference * 300:
            after[k], gained = 1.0, gained + 1
    return figures([], [ranking("old", "s", before), ranking("new", "s", after)], seed=0)


@pytest.mark.parametrize(("difference", "verdict"), [(0.05, "higher"), (0.0, "no difference shown")])
def test_a_planted_difference_is_found_and_a_planted_zero_is_not(difference: float, verdict: str) -> None:
    comparison = next(c for c in planted(difference)["comparisons"] if c["measure"] == "ac@1")
    assert comparison["n"] == 300 and comparison["test"] == "mcnemar"
    assert comparison["difference"] == pytest.approx(difference, abs=1e-9)
    assert comparison["verdict"] == verdict


def test_what_nobody_could_score_is_said_and_not_called_equal() -> None:
    blind = [ranking(name, "s", [math.nan] * 3, unscored=3) for name in ("gnn", "random")]
    result = figures([], blind, 0)
    assert in_words(result) == (
        "random: nothing to compare with gnn in AC@1 on s.",
        "s: nothing to score, no root cause is known.",
    )
    json.dumps(result, allow_nan=False)


def test_each_difficulty_is_compared_by_itself() -> None:
    before, after = ranking("gnn", "tasks", [1.0] * 80), ranking("mlp", "tasks", [1.0] * 40 + [0.0] * 40)
    for entry in (before, after):
        entry["first"]["kinds"] = ["easy"] * 40 + ["hard"] * 40
    told = {c["of"]: c for c in figures([], [before, after], 0)["comparisons"] if c["measure"] == "ac@1"}
    assert {of: c["n"] for of, c in told.items()} == {"tasks": 80, "tasks, easy": 40, "tasks, hard": 40}
    assert told["tasks, easy"]["verdict"] == "no difference shown"
    assert told["tasks, hard"]["verdict"] == "lower" and told["tasks, hard"]["difference"] == -1.0


def test_a_ranking_alone_has_no_arms_and_a_short_curve() -> None:
    result = figures([], [ranking("gnn", "s", [1.0, 0.0]), ranking("random", "s", [0.0, 0.0])], 0)
    assert "arms" not in result and len(result["results"][0]["risk_coverage"]) <= 40
    assert result["results"][0]["risk_coverage"][-1]["coverage"] == 1.0
    assert result["results"][0]["lift"] == 2.0
    json.dumps(result, allow_nan=False)


def test_the_guard_fails_on_what_got_worse_and_on_nothing_else() -> None:
    before, after = (
        AblationResult.model_validate(figures([], [ranking("gnn", "s", [*[1.0] * 9, last])], 0))
        for last in (1.0, 0.0)
    )
    (finding,) = check_regressions(before, after, [read_condition("ac@1 < -0.02")])
    assert finding.fails and "gnn on s: ac@1 1.000 → 0.900 (-0.100" in str(finding)
    assert not check_regressions(before, after, [read_condition("ac@1 < -0.2")])[0].fails
    assert not check_regressions(before, before, [read_condition("avg@5<-0.0001")])[0].fails
    with pytest.raises(SettingsError, match="share no task"):
        check_regressions(before, after, [read_condition("score < 0")])


@pytest.mark.parametrize("text", ["ac@1", "ac@1 = 3", "beauty < 0", "ac@1 < x", ""])
def test_the_guard_refuses_what_is_no_condition(text: str) -> None:
    with pytest.raises(SettingsError, match="--fail-if"):
        read_condition(text)


def test_tables_between_markers_are_made_from_the_result() -> None:
    result = figures(
        [played("gnn", "rules", [episode(n) for n in range(6)])],
        [ranking("gnn", "s", [1.0, 0.0])],
        0,
    ) | {
        "config": {"tasks": []},
        "git": None,
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
        "weights_sha256": {},
    }
    text = "before\n<!-- ablation:begin r/ranking-at-a-glance -->\nold\n<!-- ablation:end -->\nafter\n"
    fresh = rewrite(text, {"r": result})
    assert fresh.startswith("before\n<!-- ablation:begin r/ranking-at-a-glance -->\n| AC@1 / AC@3 |")
    assert "| gnn | 0.500 / 1.000 |" in fresh and "old" not in fresh and fresh.endswith("after\n")
    assert rewrite(fresh, {"r": result}) == fresh
    assert table_of(result, "episodes-at-a-glance").rows and table_of(result, "ranking-by-observation").rows
    with pytest.raises(SettingsError, match="beauty"):
        rewrite(text.replace("ranking-at-a-glance", "beauty"), {"r": result})


def test_a_cell_cannot_break_a_markdown_table() -> None:
    table = markdown(TextTable(("a", "b"), (("x|y", "1"),)))
    assert table.splitlines() == ["| a | b |", "| --- | ---: |", "| x\\|y | 1 |"]


def test_shipped_weights_have_the_same_name_on_every_machine(tmp_path: Path) -> None:
    assert RankerSpec.read("gnn", None).weights_name == "checkpoints/ranker"
    assert RankerSpec.read("mlp", None).weights_name == "checkpoints/mlp"
    assert RankerSpec.read("gnn", tmp_path).weights_name == str(tmp_path)
    assert RankerSpec.read("heuristic", None).weights_name is None


def test_the_control_is_compared_on_the_same_cases() -> None:
    one = {"of": "s", "n": 9, "reference": "gnn", "arm": "mlp", "measure": "ac@1", "difference": -0.1}
    others = [{**one, "of": "s, hard"}, {**one, "arm": "zscore"}, {**one, "measure": "mrr"}]
    comparisons = [{**each, "ci95": [-0.25, 0.05]} for each in (one, *others)]
    table = table_of({"comparisons": comparisons}, "ranking-against-the-control")
    assert table.rows == (("s", "9", "+0.100 [-0.050, +0.250]"),)
