"""Sentences about a suspect: how far, since when, which callers are affected, what changed."""

import numpy as np
import pytest
from telling import sentences_of

from data.channels import Channel
from data.incident import Incident, Series
from data.observation import Observation, parse
from gnn.explain.evidence_items import EvidenceItem

NAN = float("nan")
CALM = [1.0, 1.1, 0.9, 1.2, 0.8]


def sentences(*points: float, baseline: list[float] = CALM, name: str = "latency_p99") -> tuple[str, ...]:
    series = Series(np.array(points), np.array(baseline))
    return sentences_of(Incident("x", ("a",), {}, {"a": {name: series}}), ["a"])["a"]


@pytest.mark.parametrize(
    ("points", "since"),
    [
        ((9.0, 9.0, 9.0), ", since point 1 of 3"),
        ((1.0, 1.1, 9.0), ", since point 3 of 3"),
        ((1.0, 5.0, 1.0, 9.0), ", since point 2 of 4"),
        ((NAN, NAN, 9.0), ", since point 3 of 3"),
        ((0.1, 9.0), ", since point 2 of 2"),  # a fall before the rise is another story
        ((9.0,), ""),  # one point has no since
    ],
)
def test_a_deviation_says_since_which_point(points: tuple[float, ...], since: str) -> None:
    (sentence,) = sentences(*points)
    assert sentence == f"latency_p99 rose from 1 to 9{since}"


def test_what_does_not_deviate_is_not_told() -> None:
    assert sentences(1.0, 1.1, 1.0) == ()


def window(*errors: float) -> Incident:
    """Three services at ticks 4, 5, …; the first one has these error rates."""
    observations = [
        parse(
            Observation,
            {
                "services": {
                    name: {"status": "healthy", "http_server_error_rate": rate}
                    for name, rate in (("a", error), ("b", 0.01), ("c", 0.01))
                },
                "dependency_graph": {"a": ["b", "c"]},
                "sim_tick": 4 + index,
            },
            "test",
        )
        for index, error in enumerate(errors)
    ]
    return Incident.from_observations(observations)


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ((0.01, 0.01, 0.3, 0.6), "rose from 1 % to 60 %, since tick 6"),
        ((0.5, 0.5, 0.5), "is 50 % where the others have 1 %, since tick 4 or before"),
        ((0.5,), "is 50 % where the others have 1 %"),
    ],
)
def test_a_window_of_observations_tells_the_tick(errors: tuple[float, ...], told: str) -> None:
    assert sentences_of(window(*errors), ["a"])["a"] == (f"http_server_error_rate {told}",)


def test_metrics_that_weigh_more_are_told_first() -> None:
    series = {name: Series(np.array([9.0]), np.array(CALM)) for name in ("latency_p99", "cpu", "memory")}
    incident = Incident("x", ("a",), {}, {"a": series})
    first = []
    for channel in (Channel.CPU, Channel.MEMORY, Channel.LATENCY_TAIL):
        weights = {EvidenceItem("channel", "a", channel): 1.0}
        first.append(sentences_of(incident, ["a"], None, weights)["a"][0].split()[0])
    assert first == ["cpu", "memory", "latency_p99"]


def test_a_metric_that_moves_too_little_is_still_held_against_its_peers() -> None:
    (told,) = sentences_of(window(0.5, 0.62), ["a"])["a"]
    assert told == "http_server_error_rate is 62 % where the others have 1 %, since tick 4 or before"


def test_missing_points_are_counted_too() -> None:
    (told,) = sentences(0.01, NAN, NAN, 0.6, baseline=[], name="error_rate")
    assert told == "error_rate rose from 1 % to 60 %, since point 4 of 4"


@pytest.mark.parametrize(
    ("metric", "points", "baseline", "degraded"),
    [
        ("latency_p99", [9.0], CALM, True),
        ("latency_p99", [0.1], CALM, False),  # faster than ever
        ("latency_p99", [1.0, 0.3], [], False),
        ("success_rate", [0.5, 1.0], [], False),  # it recovers
        ("success_rate", [1.0, 0.5], [], True),
    ],
)
def test_only_callers_that_fare_worse_are_degraded(
    metric: str, points: list[float], baseline: list[float], degraded: bool
) -> None:
    telemetry = {"web": {metric: Series(np.array(points), np.array(baseline))}}
    incident = Incident("x", ("web", "db"), {"web": ["db"]}, telemetry)
    told = " ".join(sentences_of(incident, ["db"])["db"])
    assert ("its only caller is degraded too: web" in told) == degraded


def test_of_what_should_be_high_the_peers_accuse_the_lowest() -> None:
    rates = {"a": 0.2, "b": 0.99, "c": 0.99, "d": 0.98}
    telemetry = {
        name: {"success_rate": Series(np.array([rate]), np.array([]))} for name, rate in rates.items()
    }
    told = sentences_of(Incident("x", tuple(rates), {}, telemetry), ["a", "b"])
    assert told == {"a": ("success_rate is 20 % where the others have 98.5 %",), "b": ()}


@pytest.mark.parametrize(
    ("metric", "usual", "now"), [("availability", 99.9, 80.0), ("success_rate", 0.999, 0.8)]
)
def test_of_what_should_be_all_the_missing_counts(metric: str, usual: float, now: float) -> None:
    past = np.full(10, usual)
    metrics = {"a": {metric: Series(np.full(3, now), past)}, "b": {metric: Series(past[:3], past)}}
    incident = Incident("i", ("a", "b"), {"a": ["b"]}, metrics)
    (sentence,) = sentences_of(incident, ["a"])["a"]
    assert sentence.startswith(f"{metric} fell from 99.9 % to 80 %, since")
