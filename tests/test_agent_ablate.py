"""`ablate` with real parts: resuming, the regression guard, and models of known behaviour."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from llm_server import LLMServer, action
from tiny_model import make_tiny_adapter, make_tiny_model

from agent.benchmark.ablate import brief_names
from agent.cli import answer
from agent.llm.weights import can_run_smol
from data.simulator.catalogue import random_tasks
from data.simulator.world.environment import EmbeddedEnvironment

EASY = ("--episodes", "2", "--difficulty", "easy")
# Picks one of the unhealthy services (worst first), given the ranker's first suspect.
Choice = Callable[[Sequence[str], str | None, int], str | None]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "SPACE_URL", "MODEL_PRICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODEL_NAME", "stand-in")


def ablate(*options: str) -> dict[str, Any]:
    assert answer(["ablate", "--out", "ab", "--quiet", *options]) == 0
    result: dict[str, Any] = json.loads(Path("ab/ablation.json").read_text())
    return result


def lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines(keepends=True)


def test_every_arm_is_played_and_ranked_and_goes_on_where_it_stopped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ("--ranker", "heuristic,none", "--policy", "rules,legacy-rules", "--seeds", "2", *EASY)
    assert answer(["ablate", "--out", "ab", *command]) == 0
    shown = capsys.readouterr()
    assert "from heuristic+rules" in shown.out and "none+rules" in shown.out
    first = json.loads(Path("ab/ablation.json").read_text())
    assert [(arm["arm"], arm["n"]) for arm in first["arms"]] == [
        ("heuristic+rules", 4), ("none+rules", 4), ("heuristic+legacy-rules", 4), ("none+legacy-rules", 4),
    ]  # fmt: skip
    assert [(r["source"], r["ranker"], r["n"]) for r in first["results"]] == [("tasks", "heuristic", 24)]
    assert set(first["results"][0]["by_tick"]) == set("012345")

    episodes = lines("ab/episodes.jsonl")
    Path("ab/episodes.jsonl").write_text("".join(episodes[:5]) + episodes[5][:20])  # torn by a crash
    again = ablate(*command, "--jobs", "1")
    assert len(lines("ab/episodes.jsonl")) == len(episodes)
    for result in (first, again):
        for arm in result["arms"]:
            del arm["seconds"]
    assert again["arms"] == first["arms"] and again["comparisons"] == first["comparisons"]


def test_another_ranker_joins_what_was_played_and_other_settings_do_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ablate("--ranker", "heuristic", "--steps", "--jobs", "1", *EASY)
    ablate("--ranker", "heuristic,random", "--jobs", "1", *EASY)
    assert len(lines("ab/episodes.jsonl")) == 4 and len(lines("ab/rankings.jsonl")) == 2
    assert len(lines("ab/arms/heuristic+rules/episodes.jsonl")) == 2
    assert answer(["report", "ab/arms/heuristic+rules", "--quiet"]) == 0  # it is a run folder
    assert answer(["ablate", "--out", "ab", "--ranker", "heuristic", "--seed", "1", *EASY]) == 2
    assert "seed=0" in capsys.readouterr().err


def test_an_arm_keeps_each_episode_once_though_its_job_was_cut_short(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ("--ranker", "heuristic", "--steps", "--jobs", "1", "--concurrency", "2", *EASY)
    ablate(*command)
    arm = Path("ab/arms/heuristic+rules")
    whole = {name: lines(str(arm / name)) for name in ("episodes.jsonl", "steps.jsonl")}
    Path("ab/episodes.jsonl").write_text(lines("ab/episodes.jsonl")[0])
    ablate(*command)
    assert [len(lines(str(arm / name))) for name in whole] == [len(held) for held in whole.values()]
    assert len({json.loads(line)["seed"] for line in lines(str(arm / "episodes.jsonl"))}) == 2
    assert answer(["ablate", "--out", "ab", *command, "--difficulty", "hard"]) == 2
    assert "other tasks" in capsys.readouterr().err
    assert len(lines(str(arm / "episodes.jsonl"))) == 2


def test_a_result_guards_the_next_one(capsys: pytest.CaptureFixture[str]) -> None:
    ablate("--ranker", "heuristic", "--jobs", "1", *EASY)
    guard = ("--against", "ab", "--fail-if")
    ablate("--ranker", "heuristic", "--jobs", "1", *EASY, *guard, "ac@1 < -0.02")
    worse = json.loads(Path("ab/ablation.json").read_text())
    values = worse["values"]["episodes"]["values"]["heuristic+rules"]
    values["score"] = [score + 0.1 for score in values["score"]]
    Path("better.json").write_text(json.dumps(worse))
    command = ["ablate", "--out", "ab", "--ranker", "heuristic", "--jobs", "1", "--quiet", *EASY]
    command += ["--against", "better.json"]
    assert answer([*command, "--fail-if", "ac@1 < -0.02", "--fail-if", "score < -0.05"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Fails, score < -0.05: heuristic+rules on episodes: score")
    assert answer([*command[:-2], "--fail-if", "score < 0"]) == 2


def test_rankings_alone_need_no_world() -> None:
    result = ablate("--ranking-only", "--simulate", "6", "--jobs", "1", "--ranker", "zscore,random,none")
    assert [(r["source"], r["ranker"], r["n"]) for r in result["results"]] == [
        ("simulated/0", "zscore", 6), ("simulated/0", "random", 6),
    ]  # fmt: skip
    assert "arms" not in result and not Path("ab/episodes.jsonl").exists()


def test_sources_of_one_name_stay_apart_from_each_other_and_from_what_was_played() -> None:
    for folder, number in (("ep/train", "2"), ("ep/test", "3")):
        where = ("--env", "embedded", "--episodes", number, "--difficulty", "easy", "--out", folder)
        assert answer(["collect", *where, "--quiet"]) == 0
    both = ("--episodes-from", "ep/train", "--episodes-from", "ep/test")
    result = ablate("--ranker", "heuristic,random", "--jobs", "1", *EASY, *both)
    assert [r["source"] for r in result["results"]][::2] == ["tasks", "train/episodes", "test/episodes"]
    assert [len(block["keys"]) for block in result["values"]["rankings"].values()] == [2, 2, 3]
    alone = ablate("--ranker", "heuristic,random", "--ranking-only", "--jobs", "1", *both[2:])
    assert {c["of"] for c in alone["comparisons"]} == {"test/episodes"}


def test_a_source_is_called_as_briefly_as_can_be() -> None:
    paths = [
        "/a/x/week.jsonl",
        "/b/x/week.jsonl.gz",
        "/b/day.jsonl",
        "/b/tasks.jsonl",
        "/c.jsonl",
        "/c.jsonl.gz",
    ]
    assert list(brief_names(paths, {"tasks"}).values()) == [
        "a/x/week", "b/x/week", "day", "b/tasks", "/c.jsonl", "/c.jsonl.gz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ranker", "oracle"), "oracle"),
        (("--ranker", "heuristic", "--policy", "hope"), "hope"),
        pytest.param(
            ("--ranker", "heuristic", "--policy", "llm"),
            "HF_TOKEN",
            marks=pytest.mark.skipif(can_run_smol(), reason="here the small model plays without a key"),
        ),
        (("--ranking-only", "--ranker", "heuristic"), "nothing to rank"),
        (("--ranker", "heuristic", "--fail-if", "score < 0"), "--against"),
        (("--ranker", "gnn@nowhere"), "nowhere"),
        (("--ranker", "gnn", "--checkpoint", "nowhere"), "nowhere"),
        (("--ranker", "heuristic", "--episodes-from", "nowhere"), "nowhere"),
        (("--ranker", "heuristic", "--labels", "nowhere.json"), "nowhere.json"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is_played(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(["ablate", "--out", "ab", *EASY, *options]) == 2
    assert said in capsys.readouterr().err
    assert not Path("ab").exists()


def test_rankings_are_made_anew_when_files_or_labels_say_something_else() -> None:
    world = ("--env", "embedded", *EASY, "--out", "ep", "--quiet")
    assert answer(["collect", *world]) == 0
    command = ("--ranker", "heuristic", "--ranking-only", "--jobs", "1", "--episodes-from", "ep")
    told = ablate(*command)["results"][0]
    assert ablate(*command)["results"][0] == told and len(lines("ab/rankings.jsonl")) == 1
    stored = [json.loads(line) for line in lines("ep/episodes.jsonl")]
    wrong = {f"easy/{episode['task']['seed']}": ["nobody"] for episode in stored}
    Path("labels.json").write_text(json.dumps(wrong))
    assert ablate(*command, "--labels", "labels.json")["results"][0]["ac@5"] == 0
    Path("labels.json").write_text("{}")
    assert ablate(*command, "--labels", "labels.json")["results"][0]["ac@5"] == told["ac@5"] > 0
    Path("ep/episodes.jsonl").write_text(lines("ep/episodes.jsonl")[0])
    assert ablate(*command)["results"][0]["n"] < told["n"]


def unwell(prompt: str) -> list[str]:
    """The services that remedies may target, worst first."""
    rows = re.findall(r"^\| (\S+): errors ([\d.]+).*?p99_s ([\d.]+)", prompt, re.MULTILINE)
    return [name for name, errors, p99 in rows if float(errors) >= 0.05 or float(p99) >= 0.5]


def model(choose: Choice) -> Callable[[Mapping[str, Any]], str]:
    """A model that remedies what `choose` returns and then ends; for None it looks around."""

    def reply(request: Mapping[str, Any]) -> str:
        prompt = next(m["content"] for m in request["messages"] if m["role"] == "user")
        if re.search(r"^\| restart_service \S+: ", prompt, re.MULTILINE):
            return action("declare_resolved")
        hint = re.search(r"^\| 1\. (\S+)", prompt, re.MULTILINE)
        target = choose(unwell(prompt), hint[1].rstrip(":") if hint else None, request["seed"])
        if target is not None:
            return action("restart_service", target)
        turn = re.search(r"history_length=(\d+)", prompt)
        assert turn is not None
        looks = ("get_metrics_detail", "trace_dependencies")
        return action(looks[int(turn[1]) % 2], hint[1].rstrip(":") if hint else unwell(prompt)[0])

    return reply


def truth(episodes: int) -> dict[int, set[str]]:
    """The root causes by seed."""
    world, roots = EmbeddedEnvironment(), {}
    for task in random_tasks(episodes, "medium", 0):
        asyncio.run(world.reset(task))
        roots[task.seed] = set(world.root_causes())
    return roots


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> Callable[[Choice], tuple[dict[str, int], dict[str, int]]]:
    """Plays a character with and without hints; returns its hint use in both arms."""

    def play(choose: Choice) -> tuple[dict[str, int], dict[str, int]]:
        with LLMServer(model(choose)) as server:
            monkeypatch.setenv("API_BASE_URL", server.url)
            result = ablate(
                "--ranker", "heuristic", "--policy", "llm,llm-without-hints", "--jobs", "1",
                "--concurrency", "4", "--episodes", "6", "--difficulty", "medium",
            )  # fmt: skip
        hinted, unaided = (arm["hint_use"] for arm in result["arms"])
        return hinted, unaided

    return play


def test_a_model_that_follows_the_hint(hints: Callable[[Choice], Any]) -> None:
    def choose(ill: Sequence[str], hint: str | None, _seed: int) -> str | None:
        first = hint or next(iter(ill), None)
        return first if first in ill else None

    used, unaided = hints(choose)
    assert used["hinted"] == used["followed"] > 0 and used["overrode"] == 0
    assert used["followed_right"] == used["in_top_1"] == used["picked"]
    assert used["rescued"] <= used["followed_right"] and used["misled"] <= used["followed_wrong"]
    assert used["paired"] == used["hinted"] and unaided["hinted"] == 0


def test_a_model_that_ignores_the_hint(hints: Callable[[Choice], Any]) -> None:
    used, unaided = hints(lambda ill, _hint, _seed: min(ill, default=None))
    assert 0 < used["followed"] < used["hinted"]
    assert used["picked"] == unaided["picked"] and used["rescued"] == used["misled"] == 0


def test_a_model_that_is_always_wrong(hints: Callable[[Choice], Any]) -> None:
    roots = truth(6)

    def choose(ill: Sequence[str], _hint: str | None, seed: int) -> str | None:
        return next((name for name in ill if name not in roots[seed]), None)

    used, unaided = hints(choose)
    assert used["remedied"] > 0 and used["picked"] == unaided["picked"] == 0
    assert used["followed_right"] == used["rescued"] == used["misled"] == 0


def test_several_models_and_adapters_are_arms_of_one_ablation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_tiny_model(tmp_path / "model")
    adapter = make_tiny_adapter(model, tmp_path / "sft")
    Path("tasks.json").write_text('[{"task_id": null, "difficulty": "easy", "seed": 7, "max_ticks": 2}]')
    options = (
        "--policy", f"rules,llm@{model},llm@{adapter}", "--ranker", "heuristic,none", "--tasks", "tasks.json",
        "--prompt-budget", "600", "--jobs", "1", "--temperature", "0", "--steps",
    )  # fmt: skip
    result = ablate(*options)
    base, tuned = (f"llm@{folder}" for folder in (model, adapter))
    assert [arm["arm"] for arm in result["arms"]] == [
        f"{hints}+{policy}" for policy in ("rules", base, tuned) for hints in ("heuristic", "none")
    ]
    assert set(result["weights_sha256"]) == {tuned}
    against = {(c["reference"], c["arm"]) for c in result["comparisons"]}
    assert {("none+rules", f"none+{tuned}"), ("heuristic+rules", f"heuristic+{base}")} <= against
    config = json.loads(Path("ab/arms", f"none+{tuned}".replace("/", "_"), "run.json").read_text())["config"]
    assert config["adapter"] == str(adapter) and config["model"] == str(model)
    (adapter / "card.json").write_text("{}")
    assert answer(["ablate", "--out", "ab", "--quiet", *options]) == 2
    assert f"made with other weights of '{tuned}'" in capsys.readouterr().err


def test_wrong_hints_lead_away_from_the_truth(tiny_ranker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LLMServer(model(lambda ill, hint, _: hint if hint in ill else None)) as server:
        monkeypatch.setenv("API_BASE_URL", server.url)
        result = ablate(
            "--ranker", f"wrong@{tiny_ranker}", "--policy", "llm", "--episodes", "4", "--difficulty", "easy",
            "--jobs", "1", "--concurrency", "4",
        )  # fmt: skip
    (arm,) = result["arms"]
    used = arm["hint_use"]
    assert used["followed"] == used["followed_wrong"] and used["in_top_1"] == 0
    assert arm["first_ranking"]["ac@1"] == 0 and result["results"] == []
