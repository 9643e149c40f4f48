"""Evaluation results: their form, what is scored, what is hidden, and figures on recorded traffic."""

import json
import math
from dataclasses import replace

import pytest

from agent.report.calibration import calibration_section
from data.episodes import Episode, EpisodeStore
from data.incident import Incident
from data.observation import parse
from gnn.baselines.heuristic import HeuristicRanker
from gnn.evaluation.evaluate import (
    episode_cases,
    episode_sources,
    evaluate,
    incident_source,
    incident_sources,
    result_of,
    score_cases,
)
from gnn.evaluation.results import RankerResult
from gnn.ranker import Candidate, Ranking, Verdict
from gnn.registry import make_ranker

MEASURES = {"n", "unscored", "ac@1", "ac@3", "ac@5", "avg@5", "mrr", "ece", "ci95", "chance"}


class AlwaysFirst:
    """Names the first service with a fixed probability, and records its inputs."""

    name = "first"

    def __init__(self, probability=0.75):
        self.probability = probability
        self.shown = []

    def rank(self, incident):
        self.shown.append(incident)
        return Ranking((Candidate(incident.services[0], 1.0, self.probability),), self.name)


def episode(seed, root, labelled=True):
    """Looks twice, restarts, looks again; "a" is the first service in all five observations."""
    actions = ["fetch_logs", "fetch_logs", "restart_service", "fetch_logs"]
    raw = {
        "task": {"difficulty": "hard", "seed": seed, "max_ticks": 20},
        "source": "test",
        "policy": "test",
        "observations": [{"services": {"a": {}, "b": {}, "c": {}}, "sim_tick": t} for t in range(5)],
        "actions": [{"action_type": action, "target_service": "a"} for action in actions],
        "feedback": [""] * 4,
        "labels": {"root_causes": [root], "origin": "environment", "fault_types": ["oom"]}
        if labelled
        else None,
    }
    return parse(Episode, raw, "test")


def incident(name, root, services="abc"):
    return Incident(name, tuple(services), {}, root_causes=(root,) if root else (), fault="delay")


def test_an_episode_is_scored_at_each_observation_up_to_the_first_remedy_and_no_further():
    cases = episode_cases(episode(1, "a"))
    assert [case.tick for case in cases] == [0, 1, 2]
    assert [len(case.incident.observations) for case in cases] == [1, 2, 3]
    assert {case.cluster for case in cases} == {"hard/1"}


def test_the_ranker_never_sees_the_labels():
    ranker = AlwaysFirst()
    score_cases(ranker, episode_cases(episode(1, "a")))
    score_cases(ranker, incident_source("x", [incident("1", "a")]).cases)
    assert all(shown.root_causes == () and shown.fault == "" for shown in ranker.shown)


def test_a_result_has_the_documented_shape_and_is_strict_json(tmp_path):
    store = EpisodeStore(tmp_path / "some.jsonl")
    for seed, root in enumerate("aaab"):
        store.append(episode(seed, root))
    store.append(episode(9, "a", labelled=False))
    (result,) = evaluate([(AlwaysFirst(), "some/folder")], episode_sources(tmp_path))
    assert RankerResult.model_validate_json(json.dumps(result.record(), allow_nan=False)) == result
    result = result.record()
    assert MEASURES | {"source", "ranker", "checkpoint", "by_tick", "ms_per_ranking"} <= set(result)
    assert result["source"] == str(tmp_path / "some.jsonl")
    assert (result["ranker"], result["checkpoint"]) == ("first", "some/folder")
    assert (result["n"], result["unscored"]) == (12, 3)
    assert result["ac@1"] == 0.75 and result["mrr"] == 0.75 and result["ece"] == pytest.approx(0)
    assert result["chance"]["ac@1"] == pytest.approx(1 / 3)
    assert set(result["by_tick"]) == {"0", "1", "2"}
    assert set(result["by_tick"]["0"]) == MEASURES
    assert result["by_tick"]["2"]["n"] == 4 and result["by_tick"]["2"]["unscored"] == 1
    assert set(result["by_difficulty"]) == {"hard"} and set(result["by_fault"]) == {"oom"}
    assert set(result["by_services"]) == {"1-10"}
    assert result["reliability"][0]["n"] == 12 and result["risk_coverage"][-1]["coverage"] == 1.0


def test_the_observations_of_one_episode_are_no_independent_evidence():
    few = [case for seed in range(4) for case in episode_cases(episode(seed, "ab"[seed % 2]))]
    low, high = result_of("x", "first", None, score_cases(AlwaysFirst(), few)).ci95["ac@1"]
    assert high - low > 0.8  # four episodes, not twelve cases


class SureOf(AlwaysFirst):
    """Like AlwaysFirst, but unsure about large systems; states its confidence."""

    def rank(self, incident):
        verdict: Verdict = "unsure" if len(incident.services) > 3 else "culprit"
        return replace(super().rank(incident), verdict=verdict, unsure_below=0.6)


def test_coverage_and_risk_are_those_at_the_stated_confidence():
    cases = [incident("1", "a"), incident("2", "b"), incident("3", "b", "abcd"), incident("4", None)]
    rankers = [(SureOf(), None), (AlwaysFirst(), None)]
    results = evaluate(rankers, [incident_source("x", cases), incident_source("none", [])])
    sure, never, nothing, _ = (result.abstention for result in results)
    assert (sure.unsure_below, sure.answered, sure.coverage) == (0.6, 2, pytest.approx(2 / 3))
    assert (sure.risk, sure.risk_unsure, sure.ci95["risk"]) == (0.5, 1.0, (0.0, 1.0))
    assert never is None and nothing is None  # no confidence is stated, nothing was ranked
    report = calibration_section([results[0]])
    assert [cell.text for cell in report.table.rows[0]][2:5] == ["0.60", "2", "0.67"]
    assert calibration_section([results[1]]).table is None


def test_nothing_scored_is_null_not_zero():
    unknown = incident_source("x", [incident("1", None)])
    (result,) = evaluate([(AlwaysFirst(), None)], [unknown])
    told = json.loads(result.model_dump_json(by_alias=True))
    assert told["ac@1"] is None and told["ece"] is None and told["ci95"]["mrr"] == [None, None]
    assert (told["n"], told["unscored"]) == (0, 1)
    empty = result_of("x", "first", None, [])
    assert math.isnan(empty.ms_per_ranking) and empty.by_tick == {}


def test_incidents_are_index_zero():
    source = incident_source("x", [incident("1", "a"), incident("2", "b", "abcdefghijklm")])
    (result,) = evaluate([(AlwaysFirst(None), None)], [source])
    assert set(result.by_tick) == {"0"} and result.by_tick["0"].ac1 == result.ac1 == 0.5
    assert set(result.by_services) == {"1-10", "11-30"} and result.by_fault["delay"].n == 2
    assert result.by_difficulty == {} and math.isnan(result.ece)


def test_the_heuristic_on_recorded_traffic(shared):
    folder = shared / "firewatch" / "traffic"
    results = {r.source: r for r in evaluate([(HeuristicRanker(), None)], episode_sources(folder))}
    kinds = ["random.expert", "catalogue.expert", "catalogue.rules"]
    assert list(results) == [str(folder / kind) for kind in kinds]
    catalogue, random = results[str(folder / "catalogue.expert")], results[str(folder / "random.expert")]
    assert catalogue.by_tick["0"].ac1 == pytest.approx(17 / 24)
    assert random.by_tick["0"].ac1 == pytest.approx(105 / 120)

    (alone,) = episode_sources(folder / "random_easy_9000.expert.jsonl.gz")
    assert alone.name == str(folder / "random_easy_9000.expert.jsonl.gz")


def test_random_is_at_chance_on_the_published_incidents(shared):
    for source in incident_sources(shared / "incidents"):
        scored = [s for seed in range(4) for s in score_cases(make_ranker("random", seed=seed), source.cases)]
        result = result_of(source.name, "random", None, scored)
        assert result.ac3 == pytest.approx(result.chance["ac@3"], abs=0.1)
