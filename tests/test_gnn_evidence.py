"""Sentences about a suspect: how far, since when, who shares it, what changed."""

import numpy as np
import pytest

from data.channels import Channel, default_channel_map
from data.incident import Incident, Series
from data.observation import Observation, parse
from gnn.evidence import explain
from gnn.pieces import Piece

NAN = float("nan")
CALM = [1.0, 1.1, 0.9, 1.2, 0.8]


def sentences(*points: float, baseline: list[float] = CALM, name: str = "latency_p99") -> tuple[str, ...]:
    series = Series(np.array(points), np.array(baseline))
    return explain(Incident("x", ("a",), {}, {"a": {name: series}}), ["a"], default_channel_map())["a"]


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
    assert sentence == f"latency_p99 went from 1 to 9 ({8 / 0.148:.0f} deviations){since}"


def test_what_does_not_deviate_is_not_told() -> None:
    assert sentences(1.0, 1.1, 1.0) == ()


def window(*errors: float) -> Incident:
    """Three services at ticks 4, 5, …; the error rate of the first one is given."""
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
        ((0.01, 0.01, 0.3, 0.6), "went from 0.01 to 0.6 in 3 ticks, since tick 6"),
        ((0.5, 0.5, 0.5), "is 0.5 where its peers have 0.01, since tick 4 or before"),
        ((0.5,), "is 0.5 where its peers have 0.01"),
    ],
)
def test_a_window_of_observations_tells_the_tick(errors: tuple[float, ...], told: str) -> None:
    assert explain(window(*errors), ["a"], default_channel_map())["a"] == (f"http_server_error_rate {told}",)


def test_metrics_that_weigh_more_are_told_first() -> None:
    series = {name: Series(np.array([9.0]), np.array(CALM)) for name in ("latency_p99", "cpu", "memory")}
    incident = Incident("x", ("a",), {}, {"a": series})
    first = []
    for channel in (Channel.CPU, Channel.MEMORY, Channel.LATENCY_TAIL):
        weights = {Piece("channel", "a", channel): 1.0}
        first.append(explain(incident, ["a"], default_channel_map(), weights)["a"][0].split()[0])
    assert first == ["cpu", "memory", "latency_p99"]
