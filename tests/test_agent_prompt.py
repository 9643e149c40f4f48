"""Prompts: golden files, size, and nothing in them that the contract forbids."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from golden_prompts import CASES, FOLDER, text_of
from situations import observation, service, situation

from agent.decision import PastStep, Situation
from agent.menu import menu
from agent.policy import make_policy
from agent.prompt import build_prompt, repair_question
from data.incident import Incident
from data.observation import Action, Task, parse_step
from data.simulator.catalogue import SMOKE_TASKS
from data.simulator.environment import EmbeddedEnvironment
from gnn.baselines.heuristic import HeuristicRanker

CHARACTERS_PER_TOKEN = 4
CANARY = "Kanarienvogel"


@pytest.mark.parametrize("name", CASES)
def test_golden_prompts(name: str) -> None:
    golden = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert text_of(CASES[name]()) == golden, "remake with: python tests/golden_prompts.py, and read the diff"


def test_fifty_services_fit_into_3000_tokens() -> None:
    assert len(text_of(CASES["many_services"]())) < 3000 * CHARACTERS_PER_TOKEN


def test_ten_thousand_services_fit_as_well() -> None:
    services = {f"service-with-a-long-name-{k}": service(error_rate=0.5) for k in range(10_000)}
    names = list(services)
    huge = situation(observation(**services), calls=dict.fromkeys(names[:100], tuple(names[:50])))
    assert len(text_of(huge)) < 3000 * CHARACTERS_PER_TOKEN


def test_the_menu_is_the_same_whatever_a_service_shows() -> None:
    plain = situation(observation(db=service(error_rate=0.5)))
    odd = situation(
        observation(db=service(error_rate=0.5, tls_certificate_expiry_seconds=-1, oom_kill_count=3))
    )
    assert text_of(plain) == text_of(odd)
    assert all(f"- {kind}:" in text_of(plain) for kind in menu(False))
    assert "thread_dump" not in text_of(plain)


def test_an_unsure_ranker_says_so_and_hints_are_not_the_truth() -> None:
    unsure, sure = text_of(CASES["in_the_middle"]()), text_of(CASES["first_look"]())
    assert "unsure" in unsure and "unsure" not in sure
    assert "not the truth" in unsure and "87%" in sure


@pytest.mark.parametrize("task", SMOKE_TASKS, ids=lambda task: task.name)
def test_embedded_smoke_tasks_fit_into_1500_tokens(task: Task) -> None:
    async def longest() -> int:
        environment, policy = EmbeddedEnvironment(), make_policy("explore", seed=1)
        window, steps, length = [(await environment.reset(task)).observation], list[PastStep](), 0
        for left in range(task.max_ticks, 0, -1):
            ranking = HeuristicRanker().rank(Incident.from_observations(window))
            here = Situation(tuple(window), ranking, tuple(steps), left)
            length = max(length, len(text_of(here)))
            decision = await policy.decide(here)
            step = await environment.step(decision.action)
            if step.done:
                break
            steps.append(PastStep(decision.action, step.feedback))
            window.append(step.observation)
        return length

    assert 500 < asyncio.run(longest()) < 1500 * CHARACTERS_PER_TOKEN


def test_without_hints_nothing_of_the_ranking_is_shown() -> None:
    text = text_of(CASES["first_look"](), hints=False)
    assert "Hints" not in text and "87%" not in text and "far above" not in text


def test_a_repair_question_quotes_a_bounded_part_of_the_reply() -> None:
    said, asked = repair_question("x" * 99_999, "there is no JSON object in it")
    assert said["role"] == "assistant" and len(said["content"]) <= 1000
    assert "no JSON object" in asked["content"]


# Honesty: whatever the environment sends beside the evidence, nothing of it reaches a prompt or a decision


def wire(feedback: str = "fine") -> dict[str, Any]:
    """One answer of a server, as talkative as the original."""
    return {
        "observation": {
            "services": {
                "api-gateway": {
                    "service_name": "api-gateway",
                    "service_version": "v1",
                    "status": "critical",
                    "http_server_error_rate": 0.6,
                    "http_server_request_duration_p99": 1.5,
                    "process_memory_utilization": 0.4,
                    "last_deployment_age_seconds": 100,
                    "last_deployment_sha": "abc",
                    "last_oom_kill_reason": "none",
                    "recent_logs": ["WARN slow"],
                },
                "db": {"status": "healthy", "http_server_error_rate": 0.01},
            },
            "active_alerts": [
                {
                    "alert_id": "1",
                    "alertname": "High",
                    "service_name": "db",
                    "severity": "page",
                    "description": "d",
                }
            ],
            "dependency_graph": {"api-gateway": ["db"]},
            "slo_budget_remaining_pct": 20.0,
            "bad_customer_minutes": 1.0,
            "sim_tick": 3,
            "action_history": [
                {"action_type": "fetch_logs", "target_service": "db", "feedback_string": feedback}
            ],
            "mttm_achieved_tick": 2,
            "current_slo_burn_rate": 1.5,
            "episode_score": 0.77,
            "task_id": "task",
            "description": "d",
            "fault_type": "f",
        },
        "reward": -0.77,
        "done": False,
        "info": {
            "action_feedback": feedback,
            "reward_breakdown": {"health_improvement": 0.77},
            "incident_progress": "25%",
            "semantic_analysis": "s",
            "system_state": "1 down",
            "services_degraded": ["api-gateway"],
            "blast_radius": {"services_impacted": 1},
            "episode_score": 0.77,
            "fault_type": "f",
        },
        "metadata": {"m": "m"},
    }


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every leaf."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if children is None:
        yield path
        return
    for key, child in children:
        yield from leaves(child, (*path, key))


def planted(path: tuple[Any, ...], leak: object) -> dict[str, Any]:
    """The answer with `leak` in the place of one leaf."""
    answer: dict[str, Any] = json.loads(json.dumps(wire()))
    node: Any = answer
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = leak
    return answer


def seen(answer: dict[str, Any]) -> Situation:
    """What the loop makes of the answer."""
    step = parse_step(answer, "test")
    window = (step.observation,)
    ranking = HeuristicRanker().rank(Incident.from_observations(window))
    past = (PastStep(Action(action_type="fetch_logs", target_service="db"), step.feedback),)
    return Situation(window, ranking, past, 9)


# The leaves whose text is evidence, quoted and cleaned; of everything else no word may arrive.
QUOTED = {
    ("observation", "services", "api-gateway", "recent_logs", 0),
    ("observation", "active_alerts", 0, "alertname"),
    ("observation", "active_alerts", 0, "description"),
    ("info", "action_feedback"),
}
NUMBERS = {
    "slo_budget_remaining_pct",
    "bad_customer_minutes",
    "sim_tick",
    "mttm_achieved_tick",
    "current_slo_burn_rate",
}


def texts_in_every_mode(here: Situation) -> list[str]:
    """The prompts with and without hints, and with a repair question."""
    asked = [text_of(here), text_of(here, hints=False)]
    return [*asked, asked[0] + json.dumps(repair_question("{}", "the action_type is missing or no text"))]


@pytest.mark.parametrize("path", list(leaves(wire())), ids=lambda path: ".".join(map(str, path)))
def test_a_leak_planted_in_any_field_does_not_reach_a_prompt(path: tuple[Any, ...]) -> None:
    if path[-1] in NUMBERS or path in (("done",),):
        return  # numbers by schema: text there is refused when it is parsed
    leak = f"{CANARY} reward=0.93 episode_score=0.93 fault_type=oom task_easy_oom_baseline"
    for text in texts_in_every_mode(seen(planted(path, leak))):
        assert "reward" not in text.lower() and "score" not in text.lower()
        if path not in QUOTED:
            assert CANARY not in text


@pytest.mark.parametrize("path", sorted(QUOTED, key=str), ids=str)
def test_the_walk_above_does_reach_what_is_quoted(path: tuple[Any, ...]) -> None:
    assert CANARY in text_of(seen(planted(path, CANARY)))


@pytest.mark.parametrize(
    "field", ["reward", "metadata", "info", "observation.episode_score", "observation.task_id"]
)
def test_the_graders_side_changes_neither_prompt_nor_decision(field: str) -> None:
    for value in (0.01, 0.99, {"episode_score": 1.0, "action_feedback": "fine"}):
        if field == "info" and not isinstance(value, dict):
            continue
        other = planted(tuple(field.split(".")), value)
        assert text_of(seen(other)) == text_of(seen(wire()))
        for policy in ("rules", "legacy-rules", "explore"):
            decisions = [asyncio.run(make_policy(policy).decide(seen(w))) for w in (other, wire())]
            assert decisions[0] == decisions[1]


@pytest.mark.parametrize("kind", ["strace_process", "thread_dump", "inspect_commit_diff"])
def test_feedback_that_names_the_fault_is_dropped(kind: str) -> None:
    answer = wire("deep look: memory leak in the allocator")
    answer["observation"]["action_history"][-1]["action_type"] = kind
    assert "memory leak" not in text_of(seen(answer))


def test_a_situation_has_no_room_for_the_grader() -> None:
    allowed = {"window", "ranking", "steps", "ticks_left", "fetched_logs"}
    assert set(Situation.__dataclass_fields__) == allowed


def test_the_prompt_is_a_function_of_the_situation() -> None:
    here = CASES["in_the_middle"]()
    assert build_prompt(here) == build_prompt(here)


@pytest.mark.parametrize(
    "task", ["task_easy_oom_baseline", "task_medium_cascade_memleak", "task_hard_config_drift_noise"]
)
def test_smoke_tasks_fit_into_1500_tokens(shared: Any, task: str) -> None:
    for policy in ("rules", "expert"):
        with gzip.open(shared / "firewatch" / "traffic" / f"{task}.{policy}.jsonl.gz", "rt") as lines:
            exchanges = [json.loads(line) for line in lines][1:]
        window, steps = [], []
        for exchange in exchanges:
            step = parse_step(exchange["response"], task)
            if exchange["path"] == "/step":
                steps.append(PastStep(Action(**exchange["request"]["action"]), step.feedback))
            window.append(step.observation)
            ranking = HeuristicRanker().rank(Incident.from_observations(window))
            text = text_of(Situation(tuple(window), ranking, tuple(steps), 5))
            assert len(text) < 1500 * CHARACTERS_PER_TOKEN
            assert task not in text and "reward" not in text.lower() and "score" not in text.lower()
