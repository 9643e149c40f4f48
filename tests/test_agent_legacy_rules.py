"""The original rule policy chooses the recorded action on every recorded observation."""

import asyncio
import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest
from situations import observation, service, situation

from agent.policies.legacy_rules import LegacyRulesPolicy, remedy_by_words
from agent.situation.decision import PastStep, Situation
from data.incident import Incident
from data.observation import Action, Observation, parse, parse_step
from gnn.baselines.heuristic import HeuristicRanker


def test_it_takes_the_recorded_action_on_every_observation(shared: Path) -> None:
    files = sorted((shared / "firewatch" / "traffic").glob("*.rules.jsonl.gz"))
    assert files
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            exchanges = [json.loads(line) for line in lines][1:]
        assert _replayed(exchanges, file.name)


def _replayed(exchanges: list[dict[str, object]], where: str) -> int:
    policy, ranker = LegacyRulesPolicy(), HeuristicRanker()
    window: list[Observation] = []
    steps: list[PastStep] = []
    for answered, asked in pairwise(exchanges):
        window.append(parse_step(answered["response"], where).observation)
        request = asked["request"]
        assert isinstance(request, dict)
        recorded = parse(Action, request["action"], where)
        ranking = ranker.rank(Incident.from_observations(window))
        decision = asyncio.run(policy.decide(Situation(tuple(window), ranking, tuple(steps))))
        assert decision.action == recorded, f"{where}, observation {len(window)}"
        steps.append(PastStep(recorded))
    return len(steps)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("Container OOMKilled, deploy 12", "restart_service"),
        ("NullPointerException: connection pool", "rollback_deploy"),
        ("HikariPool-1 timed out after 30 s", "revert_config"),
        ("Connection refused", "circuit_break"),
        ("possible memory leak", "scale_replicas"),
        ("all quiet", "restart_service"),
    ],
)
def test_the_first_known_word_chooses_the_remedy(line: str, remedy: str) -> None:
    assert remedy_by_words((line,)) == remedy


def test_it_resolves_only_when_nothing_is_ranked() -> None:
    quiet = situation(observation(api=service(memory=0.1)))
    ranked = situation(observation(api=service()), ranked=("api",))
    bare = {"status": "healthy", "http_server_error_rate": 0.0}
    empty = situation(Observation.model_validate({"services": {"api": bare}}))
    assert asyncio.run(LegacyRulesPolicy().decide(ranked)).action.action_type == "fetch_logs"
    assert asyncio.run(LegacyRulesPolicy().decide(empty)).action.action_type == "declare_resolved"
    # A field unknown to the original makes a service active, whatever its value.
    assert asyncio.run(LegacyRulesPolicy().decide(quiet)).action.action_type == "fetch_logs"
