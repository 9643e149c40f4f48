"""The run folder: complete, without the grader's data in the wrong place, and intact after interruptions."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from toy_world import RANKER, ROOT, ToyEnvironment, toy_task

from agent.play.config import RunConfig
from agent.play.run import play_tasks
from agent.records.trajectory import RunFolder, read_config
from agent.situation.decision import Decision, Situation
from data.errors import SettingsError, Unreachable
from data.observation import Action, Observation, Task, parse

TASKS = tuple(toy_task(n) for n in range(3))


class Mender:
    name = "rules"

    async def decide(self, situation: Situation) -> Decision:
        kinds = [("restart_service", ROOT), ("declare_resolved", None)]
        kind, target = kinds[min(len(situation.steps), 1)]
        return Decision(Action(action_type=kind, target_service=target), "rules", reason="a script")


def play(folder: RunFolder, environment: ToyEnvironment | None = None) -> None:
    world = environment or ToyEnvironment()
    asyncio.run(play_tasks(folder.missing, lambda: world, RANKER, lambda task: Mender(), [folder], 1, 10.0))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def begun(path: Path, tasks: tuple[Task, ...] = TASKS) -> RunFolder:
    return RunFolder.open(path, RunConfig(tasks=tasks, ranker="heuristic"), {"model": None})


def test_a_run_is_whole(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    play(folder)
    episodes, steps = lines(folder.path / "episodes.jsonl"), lines(folder.path / "steps.jsonl")
    assert [e["task_id"] for e in episodes] == ["toy_0", "toy_1", "toy_2"]
    assert {
        "task_id", "difficulty", "seed", "score", "success", "steps", "wrong_actions",
        "mitigated_at_tick", "decisions", "tokens", "seconds", "error",
    } <= set(episodes[0])  # fmt: skip
    assert [(s["task"], s["step"]) for s in steps] == [(t.name, n) for t in TASKS for n in (1, 2)]
    assert read_config(folder.path) == folder.config
    assert RunFolder.resume(folder.path).missing == ()


def test_a_step_tells_what_was_seen_suggested_and_done_and_keeps_the_graders_talk_apart(
    tmp_path: Path,
) -> None:
    folder = begun(tmp_path / "run")
    play(folder)
    step = lines(folder.path / "steps.jsonl")[1]
    observation = parse(Observation, step["observation"], "steps.jsonl")
    assert observation.sim_tick == 2 and observation.services[ROOT].status == "healthy"
    assert step["ranking"]["candidates"] is not None
    assert (step["action"], step["decided_by"], step["done"]) == (
        {"action_type": "declare_resolved"},
        "rules",
        True,
    )
    assert step["outcome"] == {
        "reward": -0.125,
        "score": 0.9,
        "info": {"incident_progress": "the grader's talk"},
    }
    visible = json.dumps({key: value for key, value in step.items() if key != "outcome"})
    assert "talk" not in visible and "-0.125" not in visible


def test_what_is_written_is_read_back_by_the_same_models(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    play(folder)
    steps = [step for own in folder.steps().values() for step in own]
    assert [step.record() for step in steps] == lines(folder.path / "steps.jsonl")
    assert [episode.record() for episode in folder.episodes] == lines(folder.path / "episodes.jsonl")


def test_a_folder_takes_one_run(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(SettingsError, match="--resume"):
        begun(tmp_path)
    with pytest.raises(SettingsError, match="holds no run"):
        RunFolder.resume(tmp_path / "elsewhere")


@pytest.mark.parametrize("cut", range(1, 160, 13))
def test_after_a_torn_line_a_resumed_run_is_what_an_untouched_one_is(tmp_path: Path, cut: int) -> None:
    """Cuts both files as a kill during a write would, then resumes."""
    folder = begun(tmp_path / "run")
    play(folder)
    expected = [(s["task"], s["step"]) for s in lines(folder.path / "steps.jsonl")]
    for name, keep in (("episodes.jsonl", 2), ("steps.jsonl", 5)):
        whole = (folder.path / name).read_bytes().splitlines(keepends=True)
        (folder.path / name).write_bytes(b"".join(whole[:keep]) + whole[keep - 1][:cut])
    resumed = RunFolder.resume(folder.path)
    assert resumed.missing == TASKS[2:]
    play(resumed)
    assert [(s["task"], s["step"]) for s in lines(folder.path / "steps.jsonl")] == expected
    assert [e["task"] for e in lines(folder.path / "episodes.jsonl")] == [task.name for task in TASKS]


def test_a_task_that_ended_in_an_error_is_played_again(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    play(folder, ToyEnvironment(faults={(1, 2): Unreachable("gone")}))
    assert [e["error"] for e in lines(folder.path / "episodes.jsonl")] == [None, "gone", None]
    resumed = RunFolder.resume(folder.path)
    assert resumed.missing == (TASKS[1],)
    play(resumed)
    assert [e.task for e in resumed.episodes] == [task.name for task in TASKS]
    assert all(e.success for e in resumed.episodes)
    assert len(lines(folder.path / "steps.jsonl")) == 6
