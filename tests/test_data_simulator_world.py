"""The embedded world: protocol, determinism, effects of actions, and similarity to the recorded server."""

import asyncio
import gzip
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from data.actions import ACTION_TYPES
from data.errors import ActionRefused, EpisodeLost, TaskRefused
from data.faults.families import fault_families
from data.leak_filter import clean_feedback
from data.observation import Action, Difficulty, Observation, Task, parse
from data.simulator import catalogue
from data.simulator.config import CONFIGS, Script
from data.simulator.world.environment import EmbeddedEnvironment, World, next_action
from data.simulator.world.grade import Accounts, grade_score
from data.simulator.world.scenario import set_up
from data.simulator.world.world import RunningEpisode

Answer = dict[str, Any]


def _started(
    difficulty: Difficulty = "easy", seed: int = 1, task_id: str | None = None
) -> tuple[World, Answer]:
    world = World()
    return world, world.reset(difficulty, seed, task_id)


def _expert(task: Task) -> World:
    world, _ = _started(task.difficulty, task.seed, task.task_id)
    assert world.episode is not None
    while not world.episode.done:
        world.step(next_action(world.episode))
    return world


def test_every_task_starts_ailing_and_validates() -> None:
    for task in (*catalogue.catalogue(), *catalogue.random_tasks(60, "all", 3)):
        world, answer = _started(task.difficulty, task.seed, task.task_id)
        assert world.episode is not None
        assert world.episode.ails, task.name
        observation = parse(Observation, answer["observation"], task.name)
        assert observation.sim_tick == 1
        fewest, most = CONFIGS[task.difficulty].services
        assert task.task_id or fewest <= len(observation.services) <= most
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer
        assert set(observation.call_graph) == set(observation.services)


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_the_expert_solves_every_episode(difficulty: Difficulty) -> None:
    for task in catalogue.random_tasks(40, difficulty, 11):
        episode = _expert(task).episode
        assert episode is not None and episode.score is not None
        assert episode.score >= 0.8, (task.name, [fault.family.name for fault in episode.setup.faults])


def test_the_expert_solves_the_catalogue() -> None:
    scores = []
    for task in catalogue.catalogue():
        episode = _expert(task).episode
        assert episode is not None and episode.score is not None
        scores.append(episode.score)
    assert min(scores) >= 0.8


def test_doing_nothing_is_worth_little() -> None:
    for task in catalogue.random_tasks(9, "all", 4):
        world, _ = _started(task.difficulty, task.seed)
        answer = world.step(Action(action_type="declare_resolved"))
        assert answer["done"] and answer["observation"]["episode_score"] < 0.5


def _script(task: Task) -> list[Answer]:
    world, answer = _started(task.difficulty, task.seed, task.task_id)
    answers = [answer]
    names = list(answer["observation"]["services"])
    for tick, kind in enumerate(ACTION_TYPES):
        answers.append(world.step(Action(action_type=kind, target_service=names[tick % len(names)])))
    return answers


_BYTES = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from test_data_simulator_world import _script
from data.simulator import catalogue
tasks = (*catalogue.smoke_tasks(), *catalogue.random_tasks(3, "hard", 8))
print(hashlib.sha256(json.dumps([_script(task) for task in tasks]).encode()).hexdigest())
"""


def test_same_task_same_actions_same_bytes_in_every_process() -> None:
    here = str(Path(__file__).parent)
    digests = {
        subprocess.run(
            [sys.executable, "-c", _BYTES, here],
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_worlds_do_not_share_anything() -> None:
    task = catalogue.task("task_medium_cascade_memleak")
    alone = _script(task)
    first, _ = _started(task.difficulty, task.seed, task.task_id)
    first.step(Action(action_type="scale_replicas", target_service="payment-service"))
    assert _script(task) == alone


def test_refusals() -> None:
    world = World()
    assert world.step(Action(action_type="escalate"))["observation"]["services"] == {}
    assert not world.reset("easy", 1, "no_such_task")["observation"]["services"]
    assert not world.reset("nightmare", 1)["observation"]["services"]
    world.reset("easy", 1)
    with pytest.raises(ActionRefused, match="no_such_action"):
        world.step(Action(action_type="no_such_action"))
    before = world.episode.tick if world.episode else 0
    answer = world.step(Action(action_type="restart_service", target_service="ghost"))
    assert answer["info"]["action_valid"] is False
    assert answer["reward"] == -0.5
    assert answer["observation"]["sim_tick"] == before + 1
    world.step(Action(action_type="declare_resolved"))
    over = world.step(Action(action_type="fetch_logs", target_service="ghost"))
    assert over["observation"]["services"] == {} and over["done"] is False
    assert "completed" in over["observation"]["action_history"][0]["feedback_string"]


def test_the_environment_raises_what_its_clients_raise() -> None:
    async def play() -> None:
        environment = EmbeddedEnvironment()
        with pytest.raises(EpisodeLost):
            environment.root_causes()
        with pytest.raises(TaskRefused, match="no_such_task"):
            await environment.reset(Task(task_id="no_such_task", difficulty="easy", seed=1, max_ticks=20))
        with pytest.raises(EpisodeLost):
            await environment.step(Action(action_type="escalate"))
        await environment.reset(catalogue.smoke_tasks()[0])
        assert environment.root_causes() == ("auth-service",)
        assert environment.fault_types() == ("oom",)
        step = await environment.step(Action(action_type="fetch_logs", target_service="auth-service"))
        assert step.observation.services["auth-service"].recent_logs
        assert len(step.observation.action_history) == 1
        await environment.step(Action(action_type="declare_resolved"))
        with pytest.raises(EpisodeLost):
            await environment.step(Action(action_type="escalate"))
        await environment.aclose()

    asyncio.run(play())


def test_history_keeps_ten_actions_and_the_parsed_form_equals_the_wire() -> None:
    async def play() -> None:
        environment, world = EmbeddedEnvironment(), World()
        task = catalogue.smoke_tasks()[2]
        await environment.reset(task)
        world.reset(task.difficulty, task.seed, task.task_id)
        for _ in range(13):
            action = Action(action_type="trace_dependencies", target_service="api-gateway")
            step = await environment.step(action)
            assert step.observation == parse(Observation, world.step(action)["observation"], "wire")
        assert len(step.observation.action_history) == 10

    asyncio.run(play())


def test_no_feedback_names_the_fault() -> None:
    for task in catalogue.catalogue()[::4]:
        for answer in _script(task)[1:]:
            for entry in answer["observation"]["action_history"]:
                text = entry["feedback_string"]
                assert clean_feedback(entry["action_type"], text) == text.strip(), text


@pytest.mark.parametrize("family", sorted(fault_families()))
def test_every_family_hurts_and_is_cured_by_its_cure_only(family: str) -> None:
    fault = fault_families()[family]
    service = {"cache": "cache", "datastore": "db-proxy"}.get(
        fault.kinds[0] if fault.kinds else "", "user-service"
    )
    world = World()
    script = Script(services=("api-gateway", "user-service", "db-proxy", "cache"), faults={service: family})
    for action in (*ACTION_TYPES[6:14], None):
        world.episode = episode = RunningEpisode(set_up("easy", 5, None, script))
        assert episode.ails
        remedy = fault.remedy(action) if action else None
        for _ in range(12):
            kind = action or "escalate"
            if action and episode.setup.faults[0].halted:
                kind = "escalate"
            if not episode.done:
                episode.step(Action(action_type=kind, target_service=service))
        assert episode.setup.faults[0].halted == (remedy is not None and remedy.effect == "halt")
        if remedy is not None and remedy.effect == "halt":
            assert not episode.ails, (family, action)


def test_escalation_makes_two_investigations_cheaper() -> None:
    world, _ = _started("easy", 5)
    assert world.episode is not None
    look = Action(action_type="get_metrics_detail", target_service=world.episode.setup.topology.names[0])
    world.step(Action(action_type="escalate"))
    budgets = [world.step(look)["observation"]["slo_budget_remaining_pct"] for _ in range(4)]
    spent = [before - after for before, after in pairwise(budgets)]
    assert spent[1] == pytest.approx(2 * spent[0], rel=0.3)


def test_worlds_can_be_large() -> None:
    episode = RunningEpisode(set_up("hard", 1, None, Script(dials={"services": (400, 400)})))
    assert len(episode.setup.topology.names) == 400 and episode.ails
    while not episode.done:
        episode.step(next_action(episode))
    assert episode.score is not None and episode.score > 0.8


def test_a_blind_culprit_has_callers() -> None:
    script = Script(dials={"blind_root": 1.0})
    for seed in range(40):
        setup = set_up("hard", seed, None, script)
        services = RunningEpisode(setup).reset_answer()["observation"]["services"]
        for fault in setup.faults:
            name = setup.topology.names[fault.service]
            if "http_server_error_rate" not in services[name]:
                assert services[name]["status"] in ("unknown", "healthy", "degraded", "critical", "down")
            if services[name]["status"] == "unknown":
                assert any(name in callees for callees in setup.topology.call_graph.values())


# Likeness to the recorded server.


def _episodes(shared: Path, pattern: str) -> list[tuple[Answer, list[Answer]]]:
    episodes = []
    for path in sorted((shared / "firewatch/traffic").glob(pattern)):
        with gzip.open(path, "rt") as lines:
            records = [json.loads(line) for line in lines]
        episodes.append((records[0]["meta"], [record["response"] for record in records[1:]]))
    return episodes


def test_the_published_grade_fits_the_recorded_scores(shared: Path) -> None:
    close = total = 0
    for meta, answers in _episodes(shared, "random_*.gz"):
        info = answers[-1]["info"]
        summary = info["episode_summary"]
        config = CONFIGS[meta["difficulty"]]
        ours = grade_score(
            Accounts(
                affected=summary["services_affected"],
                recovered=summary["services_recovered"],
                max_ticks=config.max_ticks,
                mitigated_at_tick=summary["mttm_ticks"],
                bad_customer_minutes=summary["bad_customer_minutes"],
                impact_scale=config.impact_scale,
                wrong_actions=summary["wrong_actions"],
                slo_budget_left=summary["final_slo_budget"] / summary["initial_slo_budget"],
            )
        )
        assert ours == pytest.approx(info["episode_score"], abs=0.02)
        close += abs(ours - info["episode_score"]) < 0.0101
        total += 1
    assert close / total > 0.9


def test_faults_grow_as_fast_as_recorded(shared: Path) -> None:
    """The culprit's error rate and p99 from the first to the second observation."""
    compared = 0
    for meta, answers in _episodes(shared, "random_*.gz"):
        (family,), (root,) = meta["fault_types"], meta["root_causes"]
        if family not in ("bad_deploy", "config_drift", "memory_leak"):
            continue
        first, second = (answer["observation"]["services"][root] for answer in answers[:2])
        pace = CONFIGS[meta["difficulty"]].pace
        symptoms = {symptom.drive.name: symptom for symptom in fault_families()[family].symptoms}
        for drive, metric in (
            ("ERROR", "http_server_error_rate"),
            ("LATENCY", "http_server_request_duration_p99"),
        ):
            ours = symptoms[drive].per_minute * pace / 2
            assert second[metric] - first[metric] == pytest.approx(ours, rel=0.15), (family, metric)
            compared += 1
    assert compared > 100


def test_the_observation_has_the_recorded_fields(shared: Path) -> None:
    _, answers = _episodes(shared, "task_easy_oom_baseline.expert.jsonl.gz")[0]
    _, ours = _started("easy", 42, "task_easy_oom_baseline")
    theirs = answers[0]["observation"]
    assert set(ours["observation"]) == set(theirs)
    assert set(ours["observation"]["services"]["api-gateway"]) >= set(theirs["services"]["api-gateway"])
    assert set(ours["observation"]["active_alerts"][0]) == set(theirs["active_alerts"][0])


def test_only_words_of_the_protocol_go_over_the_wire() -> None:
    """The original client knows four statuses; hidden causes must not add another."""
    world, seen = World(), set[str]()
    for task in (*catalogue.catalogue(), *catalogue.random_tasks(30, "all", 5)):
        answer = world.reset(task.difficulty, task.seed, task.task_id)
        for _ in range(10):
            seen |= {own["status"] for own in answer["observation"]["services"].values()}
            if answer["done"]:
                break
            answer = world.step(Action(action_type="escalate"))
    assert seen == {"healthy", "degraded", "critical", "down"}


def test_resolving_at_once_is_graded_about_as_by_the_original() -> None:
    """There it is 0.16 on average over the catalogue's tasks."""
    world, grades = World(), []
    for task in catalogue.catalogue():
        world.reset(task.difficulty, task.seed, task.task_id)
        grades.append(world.step(Action(action_type="declare_resolved"))["info"]["episode_score"])
    assert 0.13 <= sum(grades) / len(grades) <= 0.19
