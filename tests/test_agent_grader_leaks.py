"""What only the grader knows reaches no prompt and no decision, in any mode."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from golden_prompts import text_of
from llm_server import action

from agent.llm.budget import Ledger
from agent.llm.client import Reply
from agent.llm.explaining import question_about
from agent.llm.prompt_history import SHOWN_ACTIONS
from agent.llm.reply import Choice
from agent.llm.sanitize import speaks_of_the_grade
from agent.policies.registry import make_policy
from agent.report.diagnosis import diagnosis
from agent.situation.decision import Message, PastStep, Situation
from data.actions import action_space
from data.channels import ChannelMap
from data.errors import SchemaError
from data.incident import Incident
from data.observation import Action, parse_step
from gnn.baselines.heuristic import HeuristicRanker
from gnn.explain.sentences import explain
from gnn.ranker import Candidate, Ranking

CANARY = "Kanarienvogel"
LEAK = f"{CANARY} reward=0.93 episode_score is 0.93, fault_type=oomkill task_easy_oom_baseline"
FORBIDDEN = ("reward", "score", "0.93", "fault_type", "oomkill", "task_easy", "oom_baseline")
# The same as names that a service or a metric could have.
NAMES = (
    LEAK,
    "reward_error_rate",
    "episode_score_latency_p99",
    "fault_type_oomkill_error_rate",
    "task_easy_oom_baseline_error_rate",
)


def wire(feedback: str = "fine") -> dict[str, Any]:
    """A server's answer with all fields of the original server."""
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
                "db": {
                    "status": "healthy",
                    "http_server_error_rate": 0.01,
                    "http_server_request_duration_p99": 0.1,
                    "tls_state": "valid",
                },
            },
            "active_alerts": [
                {
                    "alert_id": "1",
                    "alertname": "High",
                    "service_name": "db",
                    "severity": "page",
                    "description": "d",
                    "metric_name": "http_server_error_rate",
                    "metric_value": 0.6,
                    "threshold_value": 0.1,
                    "fired_at_tick": 1,
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
    """The answer with `leak` in place of one leaf."""
    answer: dict[str, Any] = json.loads(json.dumps(wire()))
    node: Any = answer
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = leak
    return answer


class Repeater:
    """A model that always gives the same reply and records its prompts."""

    def __init__(self, reply: str) -> None:
        self._reply = reply
        self.asked: list[str] = []

    def new_ledger(self) -> Ledger:
        return Ledger()

    def tokens_in(self, messages: Sequence[Message]) -> int:
        return 0

    async def ask(
        self, messages: Sequence[Message], seed: int, ledger: Ledger, choice: Choice | None = None
    ) -> Reply:
        self.asked.append("\n".join(message["content"] for message in messages))
        return Reply(self._reply, "repeater")


def seen(*answers: dict[str, Any]) -> Situation:
    """The situation that the loop builds from a server's answers, with the ranker's suspects."""
    steps = [parse_step(answer, "test") for answer in answers]
    window = tuple(step.observation for step in steps)
    incident = Incident.from_observations(window)
    evidence = explain(incident, incident.services, ChannelMap())
    suspects = HeuristicRanker().rank(incident).candidates
    ranking = Ranking(tuple(Candidate(c.service, c.score, 0.5, evidence[c.service]) for c in suspects), "r")
    past = tuple(
        PastStep(Action(action_type="fetch_logs", target_service="db"), step.feedback) for step in steps
    )
    return Situation(window, ranking, past, 9)


def every_prompt(here: Situation) -> list[str]:
    """Whatever a model is asked here: with and without hints, after a reply that cannot be used, that is
    refused, or that itself speaks of the grade, and for a diagnosis in words."""
    labels = [f"service-{k + 1}" for k in range(len(here.now.services))]
    refused = [action("restart_service", target) for target in (*here.now.services, *labels)]
    asked = []
    for hints in (True, False):
        for reply in ("no idea", f"my episode_score: 0.93, so {action('reward_me', 'score')}", *refused):
            model = Repeater(reply)
            asyncio.run(make_policy("llm", model=model, hints=hints).decide(here))
            asked += model.asked
    assert here.ranking is not None
    words = diagnosis(Incident.from_observations(here.window), here.ranking, 5)
    return [*asked, "\n".join(message["content"] for message in question_about(words))]


def check_honest(prompts: list[str]) -> None:
    """Fails if a prompt contains anything from the grader."""
    for prompt in prompts:
        assert [word for word in FORBIDDEN if word in prompt.lower()] == [] and not speaks_of_the_grade(
            prompt
        )


# Leaves whose text is evidence, quoted and cleaned; no word of any other leaf may reach a prompt.
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
    "metric_value",
    "threshold_value",
    "fired_at_tick",
}


@pytest.mark.parametrize("path", list(leaves(wire())), ids=lambda path: ".".join(map(str, path)))
def test_a_leak_planted_in_any_field_does_not_reach_a_prompt(path: tuple[Any, ...]) -> None:
    answer = planted(path, LEAK)
    if path[-1] in NUMBERS:
        with pytest.raises(SchemaError):
            seen(answer)
        return
    prompts = every_prompt(seen(answer))
    check_honest(prompts)
    if path not in QUOTED:
        assert not any(CANARY in prompt for prompt in prompts)


@pytest.mark.parametrize("path", sorted(QUOTED, key=str), ids=str)
def test_the_walk_above_does_reach_what_is_quoted(path: tuple[Any, ...]) -> None:
    assert CANARY in text_of(seen(planted(path, LEAK)))


def test_feedback_without_an_info_is_cleaned_as_well() -> None:
    """As sent over a WebSocket."""
    answer = wire(LEAK)
    del answer["info"]
    prompts = every_prompt(seen(answer))
    check_honest(prompts)
    assert any(CANARY in prompt for prompt in prompts)


@pytest.mark.parametrize("field", ["reward", "score", "episode_score", "fault_type", "incident_progress"])
@pytest.mark.parametrize("place", [(), ("observation",), ("observation", "services", "db"), ("info",)])
def test_fields_that_only_the_grader_would_send_are_never_shown(place: tuple[str, ...], field: str) -> None:
    for value in (0.93, LEAK):
        answer = planted((*place, field), value)
        assert every_prompt(seen(answer)) == every_prompt(seen(wire()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("service", ["api-gateway", "db"])
def test_a_service_whose_name_leaks_is_called_otherwise(service: str, name: str) -> None:
    answer = json.loads(json.dumps(wire()).replace(f'"{service}"', json.dumps(name)))
    check_honest(every_prompt(seen(answer)))


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_whose_name_leaks_is_not_quoted_as_evidence(name: str) -> None:
    before, now = wire(), wire()
    for answer, value in ((before, 0.01), (now, 0.9)):
        answer["observation"]["services"]["api-gateway"][name] = value
    check_honest(every_prompt(seen(before, now)))


def test_the_whole_history_is_clean() -> None:
    answers = [wire(f"{LEAK} {k}") for k in range(SHOWN_ACTIONS + 2)]
    check_honest(every_prompt(seen(*answers)))


def test_every_word_of_ours_is_clean() -> None:
    """The menu with all its investigations, the instructions, the summary."""
    prompts = every_prompt(seen(wire()))
    check_honest(prompts)
    assert all(f"- {kind}:" in prompts[0] for kind in action_space(logs_fetched=True))


@pytest.mark.parametrize(
    "field", ["reward", "metadata", "info", "observation.episode_score", "observation.task_id"]
)
def test_the_graders_side_changes_neither_prompt_nor_decision(field: str) -> None:
    for value in (0.01, 0.99, {"episode_score": 1.0, "action_feedback": "fine"}):
        if field == "info" and not isinstance(value, dict):
            continue
        other = planted(tuple(field.split(".")), value)
        assert every_prompt(seen(other)) == every_prompt(seen(wire()))
        for policy in ("rules", "legacy-rules", "explore"):
            decisions = [asyncio.run(make_policy(policy).decide(seen(w))) for w in (other, wire())]
            assert decisions[0] == decisions[1]


@pytest.mark.parametrize("kind", ["strace_process", "thread_dump", "inspect_commit_diff"])
def test_feedback_that_names_the_fault_is_dropped(kind: str) -> None:
    answer = wire("deep look: memory leak in the allocator")
    answer["observation"]["action_history"][-1]["action_type"] = kind
    assert "memory leak" not in text_of(seen(answer))


def test_a_situation_has_no_room_for_the_grader() -> None:
    allowed = {"window", "ranking", "steps", "ticks_left", "fetched_logs", "offered"}
    assert set(Situation.__dataclass_fields__) == allowed
