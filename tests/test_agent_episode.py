"""The main loop always ends, repeats no step, and reports every start and end."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from toy_world import RANKER, ROOT, ToyEnvironment, toy_task

from agent.play.episode import EpisodeResult, StepRecord, play_task
from agent.play.run import play_tasks
from agent.situation.decision import Decision, Situation
from data.errors import ActionRefused, EnvironmentFault, EpisodeLost, TaskRefused, Unreachable
from data.observation import Action, Task


class Script:
    """Sends these actions, then declares the incident resolved."""

    name = "script"

    def __init__(self, *actions: str, think_s: float = 0.0) -> None:
        self._actions = iter(actions)
        self._think_s = think_s
        self.seen: list[Situation] = []

    async def decide(self, situation: Situation) -> Decision:
        self.seen.append(situation)
        await asyncio.sleep(self._think_s)
        kind, _, target = next(self._actions, "declare_resolved").partition(":")
        return Decision(Action(action_type=kind, target_service=target or None), "rules")


class Forever(Script):
    """Looks and never concludes."""

    async def decide(self, situation: Situation) -> Decision:
        self.seen.append(situation)
        return Decision(Action(action_type="fetch_logs", target_service=ROOT), "rules")


class Ear:
    """Records what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def task_started(self, task: Task) -> None:
        self.heard.append(f"start {task.name}")

    def step_played(self, step: StepRecord) -> None:
        self.heard.append(f"step {step.task.name} {step.number}")

    def task_ended(self, result: EpisodeResult) -> None:
        self.heard.append(f"end {result.task.name} {'cut' if result.interrupted else result.success}")


def play(environment: ToyEnvironment, policy: Script, task: Task, deadline_s: float = 10.0) -> EpisodeResult:
    return asyncio.run(play_task(environment, RANKER, policy, task, deadline_s, lambda step: None))


def test_a_mended_root_cause_is_a_solved_task_with_its_record() -> None:
    result = play(ToyEnvironment(), Script(f"fetch_logs:{ROOT}", f"restart_service:{ROOT}"), toy_task(1))
    assert (result.score, result.success, result.error, len(result.steps)) == (0.9, True, None, 3)
    assert result.root_causes == (ROOT,)
    assert (result.ranked_first_at_step, result.remedied_at_step) == (1, 2)
    assert (result.wrong_actions, result.mitigated_at_tick, result.decisions) == (0, 4, {"rules": 3})


def test_a_remedy_of_a_healthy_service_is_a_wrong_action() -> None:
    actions = (f"restart_service:{ROOT}", f"restart_service:{ROOT}", "restart_service:api-gateway")
    assert play(ToyEnvironment(), Script(*actions), toy_task(1)).wrong_actions == 2


def test_the_policy_sees_the_whole_window_and_its_own_steps_and_nothing_of_the_outcome() -> None:
    policy = Script(f"fetch_logs:{ROOT}", f"restart_service:{ROOT}")
    play(ToyEnvironment(), policy, toy_task(1))
    assert [len(s.window) for s in policy.seen] == [1, 2, 3]
    assert [len(s.steps) for s in policy.seen] == [0, 1, 2]
    assert policy.seen[1].steps[0].feedback == "as you wish"
    assert policy.seen[0].ranking is not None and policy.seen[0].ranking.services[0] == ROOT
    assert all("talk" not in repr(s) and "-0.125" not in repr(s) for s in policy.seen)


def test_ticks_left_shrink_to_one() -> None:
    policy = Forever()
    play(ToyEnvironment(), policy, toy_task(1, max_ticks=5))
    assert [s.ticks_left for s in policy.seen] == [4, 3, 2, 1, 1]


def test_a_task_out_of_steps_is_closed_with_one_declare_resolved_that_counts() -> None:
    environment = ToyEnvironment()
    result = play(environment, Forever(), toy_task(1, max_ticks=4))
    assert environment.sent == [f"fetch_logs:{ROOT}"] * 4 + ["declare_resolved"]
    assert (len(result.steps), result.score, result.success, result.error) == (5, 0.2, False, None)


def test_an_environment_that_never_ends_an_episode_does_not_keep_us() -> None:
    result = play(ToyEnvironment(ends=False), Script(), toy_task(1, max_ticks=3))
    assert len(result.steps) == 4
    assert result.score is None and result.error is not None and "did not end" in result.error


@pytest.mark.parametrize(
    "fault", [Unreachable("gone"), EpisodeLost("somebody reset"), TaskRefused("unknown")]
)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_environment_that_fails_ends_the_task_with_the_reason(fault: EnvironmentFault, step: int) -> None:
    environment = ToyEnvironment(faults={(1, step): fault})
    result = play(environment, Forever(), toy_task(1))
    assert (result.error, result.success, result.score) == (str(fault), False, None)
    assert len(result.steps) == len(environment.sent) == step
    if step:
        assert result.steps[-1].error == str(fault)


def test_an_action_that_the_environment_does_not_take_is_told_to_the_policy_and_counts() -> None:
    policy = Script("traffic_shift:auth-service", f"restart_service:{ROOT}")
    result = play(ToyEnvironment(faults={(1, 1): ActionRefused("no such action")}), policy, toy_task(1, 3))
    assert result.error is None
    assert [s.error for s in result.steps] == ["no such action", None, None]
    assert policy.seen[1].steps[0].feedback == "no such action"
    assert len(policy.seen[1].window) == 1


def test_the_deadline_ends_the_task_alone() -> None:
    result = play(ToyEnvironment(), Script(f"fetch_logs:{ROOT}", think_s=60), toy_task(1), deadline_s=0.05)
    assert result.error == "the task took longer than its 0.05 s"
    assert result.seconds < 30


def run_all(
    environments: list[ToyEnvironment], tasks: Sequence[Task], policy: Callable[[Task], Script], ear: Ear
) -> tuple[EpisodeResult, ...]:
    opened = iter(environments)
    playing = play_tasks(tasks, lambda: next(opened), RANKER, policy, [ear], len(environments), 10.0)
    return asyncio.run(playing)


@pytest.mark.parametrize("players", [1, 3, 8])
def test_every_task_is_played_once_whatever_the_concurrency(players: int) -> None:
    tasks = [toy_task(n) for n in range(8)]
    environments = [ToyEnvironment(pause_s=0.001) for _ in range(players)]
    ear = Ear()
    results = run_all(environments, tasks, lambda task: Script(f"restart_service:{ROOT}"), ear)
    assert [r.task for r in results] == tasks
    assert all(r.success for r in results)
    assert sorted(ear.heard) == sorted(
        line
        for t in tasks
        for line in (f"start {t.name}", f"step {t.name} 1", f"step {t.name} 2", f"end {t.name} True")
    )
    assert all(environment.closed == 1 for environment in environments)


def test_a_failing_task_leaves_the_others_alone() -> None:
    environment = ToyEnvironment(faults={(1, 1): Unreachable("hung")})
    tasks = [toy_task(n) for n in range(3)]
    results = run_all([environment], tasks, lambda task: Script(f"restart_service:{ROOT}"), Ear())
    assert [r.success for r in results] == [True, False, True]


def test_after_a_cancellation_every_task_has_its_start_and_end() -> None:
    tasks = [toy_task(n) for n in range(4)]
    ear = Ear()
    environment = ToyEnvironment(pause_s=0.05)

    async def interrupted() -> None:
        playing = asyncio.create_task(
            play_tasks(tasks, lambda: environment, RANKER, lambda task: Forever(), [ear], 1, 10.0)
        )
        while len(ear.heard) < 3:
            await asyncio.sleep(0.01)
        playing.cancel()
        await playing

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())
    assert [h for h in ear.heard if not h.startswith("step")] == [
        f"{what} {task.name}{' cut' if what == 'end' else ''}" for task in tasks for what in ("start", "end")
    ]
    assert environment.closed == 1


def test_a_defect_is_not_swallowed_but_still_leaves_every_end() -> None:
    class Broken(Script):
        async def decide(self, situation: Situation) -> Decision:
            raise ZeroDivisionError

    ear = Ear()
    with pytest.raises(ZeroDivisionError):
        run_all([ToyEnvironment()], [toy_task(0), toy_task(1)], lambda task: Broken(), ear)
    assert ear.heard == ["start toy_0", "end toy_0 cut", "start toy_1", "end toy_1 cut"]
