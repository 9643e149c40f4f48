"""Prompts: golden files, size, and nothing that the contract forbids."""

import asyncio
import gzip
import json
from typing import Any

import pytest
from golden_prompts import CASES, FOLDER, text_of
from situations import observation, service, situation

from agent.llm.prompt import build_prompt, repair_question
from agent.policies.registry import make_policy
from agent.situation.decision import PastStep, Situation
from data.actions import action_space
from data.incident import Incident
from data.observation import Action, Task, parse_step
from data.simulator.catalogue import smoke_tasks
from data.simulator.world.environment import EmbeddedEnvironment
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
    assert all(f"- {kind}:" in text_of(plain) for kind in action_space(False))
    assert "thread_dump" not in text_of(plain)


def test_an_unsure_ranker_says_so_and_hints_are_not_the_truth() -> None:
    unsure, sure = text_of(CASES["in_the_middle"]()), text_of(CASES["first_look"]())
    assert "unsure" in unsure and "unsure" not in sure
    assert "not the truth" in unsure and "87%" in sure


@pytest.mark.parametrize("task", smoke_tasks(), ids=lambda task: task.name)
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


def test_the_prompt_tells_for_how_long_users_have_been_unaffected() -> None:
    sick, well = observation(web=service(error_rate=0.9)), observation(web=service())
    expected = {0: "yes", 1: "no, since this tick", 3: "no, for 3 ticks", 20: "no, for 9 ticks"}
    for calm, told in expected.items():
        text = text_of(situation(sick, *[well] * calm))
        assert f"Users affected: {told}." in text


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
