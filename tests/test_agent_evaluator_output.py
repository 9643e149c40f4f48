"""The evaluator's lines have exactly the documented form, whatever the services' names."""

import asyncio
import io
import re
from collections.abc import Sequence

import pytest
from toy_world import RANKER, ROOT, ToyEnvironment, toy_task

from agent.play.episode import EpisodeResult, StepRecord, play_task
from agent.play.evaluator_output import EvaluatorOutput, end_line, start_line, step_line
from agent.situation.decision import Decision, Message, Situation
from data.observation import Action, Observation, Outcome, Step, Task

TASK = toy_task(7)
LINE = re.compile(
    r"\[START\] task=\S+ env=firewatch-env model=\S+"
    r"|\[STEP\] step=\d+ action=[^\s:]+(:\S+)? (reward=-?\d+\.\d\d )?done=(true|false) error=.+"
    r"|\[END\] success=(true|false) steps=\d+( score=\d\.\d\d rewards=(-?\d+\.\d\d(,-?\d+\.\d\d)*)?)?"
)


def step(
    action: str = "fetch_logs:auth-service",
    error: str | None = None,
    why_not_model: str | None = None,
    asked: bool = True,
    done: bool = False,
    reward: float | None = -0.5,
    score: float | None = None,
) -> StepRecord:
    kind, _, target = action.partition(":")
    decision = Decision(
        Action(action_type=kind, target_service=target or None),
        "rules",
        why_not_model,
        (Message(role="user", content="What now?"),) if asked else (),
    )
    result = Step(Observation(services={}), done, "", error, Outcome(reward, score))
    return StepRecord(TASK, 1, Observation(services={}), None, decision, result)


def test_lines_without_rewards() -> None:
    assert start_line(TASK, "Qwen/Qwen2.5") == "[START] task=toy_7 env=firewatch-env model=Qwen/Qwen2.5"
    assert step_line(step(), False) == "[STEP] step=1 action=fetch_logs:auth-service done=false error=null"
    ended = step("declare_resolved", done=True, score=0.81)
    assert step_line(ended, False) == "[STEP] step=1 action=declare_resolved done=true error=null"
    assert end_line(EpisodeResult(TASK, (step(), ended)), False) == "[END] success=true steps=2"


def test_lines_with_rewards() -> None:
    ended = step("declare_resolved", done=True, reward=0.123, score=0.814)
    assert step_line(step(), True).endswith(
        "action=fetch_logs:auth-service reward=-0.50 done=false error=null"
    )
    assert end_line(EpisodeResult(TASK, (step(), ended)), True) == (
        "[END] success=true steps=2 score=0.81 rewards=-0.50,0.12"
    )


@pytest.mark.parametrize(("score", "success"), [(0.5, True), (0.499, False), (None, False)])
def test_solved_from_a_half_on(score: float | None, success: bool) -> None:
    assert EpisodeResult(TASK, (step(done=True, score=score),)).success is success


def test_the_environments_error_wins_over_the_models() -> None:
    assert step_line(step(error="Invalid\n target", why_not_model="timeout"), False).endswith(
        "error=Invalid target"
    )
    assert step_line(step(why_not_model="timeout"), False).endswith("error=llm_fallback:timeout")
    long = step_line(step(why_not_model="x" * 500), False).partition("error=")[2]
    assert len(long) == 120


def test_a_model_that_was_not_asked_is_no_fallback() -> None:
    assert step_line(step(why_not_model="gave_up", asked=False), False).endswith("error=null")


@pytest.mark.parametrize("name", ["a b", "a\nb", "[END] success=true steps=1", "a\u2028b", "ä:ö", "\x1b[2J"])
def test_names_cannot_break_a_line(name: str) -> None:
    line = step_line(step(f"restart_service:{name}"), False)
    assert LINE.fullmatch(line) and len(line.splitlines()) == 1


class Script:
    name = "script"

    async def decide(self, situation: Situation) -> Decision:
        kind = "declare_resolved" if len(situation.steps) == 2 else "fetch_logs"
        return Decision(Action(action_type=kind, target_service=None if len(kind) > 10 else ROOT), "rules")


def play_in(order: Sequence[int], tasks: Sequence[Task], stream: io.StringIO) -> None:
    """Reports whole tasks in this order, as when tasks run concurrently."""
    output = EvaluatorOutput(stream, tasks, "rules", report_rewards=True)
    for task in tasks:
        output.task_started(task)
    for index in order:
        playing = play_task(ToyEnvironment(), RANKER, Script(), tasks[index], 10.0, output.step_played)
        output.task_ended(asyncio.run(playing))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_tasks_played_at_once_keep_their_lines_together_and_in_order(order: Sequence[int]) -> None:
    stream = io.StringIO()
    tasks = [toy_task(n) for n in range(3)]
    play_in(order, tasks, stream)
    lines = stream.getvalue().splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert [line.split()[0] for line in lines] == ["[START]", "[STEP]", "[STEP]", "[STEP]", "[END]"] * 3
    assert [line.split()[1] for line in lines if "START" in line] == [f"task={task.name}" for task in tasks]


def test_the_first_task_is_heard_live() -> None:
    stream = io.StringIO()
    output = EvaluatorOutput(stream, [toy_task(0), toy_task(1)], "rules", report_rewards=False)
    output.task_started(toy_task(1))
    assert stream.getvalue() == ""
    output.task_started(toy_task(0))
    assert stream.getvalue().count("\n") == 1
