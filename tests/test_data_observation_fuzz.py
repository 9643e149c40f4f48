"""Ten thousand possible bodies of a server: each is read, or refused by one of our exceptions."""

import copy
import json
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import SchemaError
from data.observation import Observation, Step, parse, parse_step

BODY: dict[str, Any] = {
    "observation": {
        "services": {
            "db": {"status": "down", "http_server_error_rate": 0.9, "recent_logs": ["a"], "odd": True},
            "web": {"http_server_request_duration_p99": 1.5},
        },
        "active_alerts": [
            {"alertname": "High", "service_name": "db", "metric_value": 0.9, "fired_at_tick": 1}
        ],
        "dependency_graph": {"web": ["db"]},
        "slo_budget_remaining_pct": 20.0,
        "bad_customer_minutes": 1.0,
        "sim_tick": 3,
        "action_history": [{"action_type": "fetch_logs", "target_service": "db", "feedback_string": "x"}],
        "mttm_achieved_tick": None,
        "episode_score": 0.5,
    },
    "reward": -0.5,
    "metadata": {"error": "e"},
    "done": False,
    "info": {"action_valid": False, "action_feedback": "no such service", "episode_score": 0.5},
}
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


# Each example tests 25 bodies: five values, each put into five random places of a good answer.
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(values, min_size=5, max_size=5), st.randoms(use_true_random=False))
def test_any_body_is_understood_or_refused_by_us(strange: list[Any], chance: random.Random) -> None:
    for value in strange:
        for _ in range(5):
            _check(_mutated(value, chance))


def _mutated(value: Any, chance: random.Random) -> Any:
    """A good answer with `value` inserted in, or replacing, one part at any depth."""
    body = copy.deepcopy(BODY)
    node: Any = {"body": body}
    holder, key = node, "body"
    for _ in range(chance.randrange(6)):
        inner = holder[key]
        if not isinstance(inner, (dict, list)) or not inner:
            break
        holder = inner
        key = chance.choice(list(inner) if isinstance(inner, dict) else list(range(len(inner))))
    if isinstance(holder, dict) and chance.random() < 0.2:
        del holder[key]
        if holder is body and chance.random() < 0.5:
            body["metadata"] = value
    else:
        holder[key] = value
    return node.get("body")


def _check(body: Any) -> None:
    try:
        step = parse_step(body, "test")
    except SchemaError as refused:
        assert "test" in str(refused)
        return
    assert isinstance(step, Step)
    assert isinstance(step.feedback, str)
    for service in step.observation.services.values():
        assert isinstance(service.is_healthy, bool)
    again = parse(Observation, json.loads(json.dumps(step.observation.to_wire())), "test")
    assert set(again.services) == set(step.observation.services)
