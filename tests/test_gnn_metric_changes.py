"""Sentences about changed metrics: bad changes first, improvements marked, readable numbers."""

import re

import numpy as np
import pytest
from telling import sentences_of

from data.channels import Channel
from data.incident import Incident, Series
from gnn.explain.evidence_items import EvidenceItem

CALM = [1.0, 1.1, 0.9, 1.2, 0.8]
IDLE = [0.0] * 6
NAN = float("nan")


def moved(
    weights: dict[EvidenceItem, float] | None = None, **metrics: tuple[list[float], list[float]]
) -> list[str]:
    """The sentences about one service, given each metric's points during and before the incident."""
    series = {name: Series(np.array(now), np.array(past)) for name, (now, past) in metrics.items()}
    incident = Incident("x", ("a",), {}, {"a": series})
    return list(sentences_of(incident, ["a"], None, weights)["a"])


def names(sentences: list[str]) -> list[str]:
    return [sentence.split()[0] for sentence in sentences]


def test_what_got_worse_is_told_before_what_moved_more() -> None:
    told = moved(
        net_rx=([9000.0], CALM), trace_spans=([85.0], IDLE), cpu=([2.0], CALM), latency_p99=([0.01], CALM)
    )
    assert names(told) == ["cpu", "net_rx", "trace_spans"]


def test_weights_order_what_got_worse_and_lift_nothing_else_above_it() -> None:
    metrics = {"requests": ([90.0], CALM), "latency_p99": ([9.0], CALM), "cpu": ([2.0], CALM)}
    traffic, cpu = (EvidenceItem("channel", "a", channel) for channel in (Channel.TRAFFIC, Channel.CPU))
    assert names(moved({traffic: 2.0, cpu: 1.0}, **metrics)) == ["cpu", "latency_p99", "requests"]


def test_what_moved_without_being_bad_is_told_after_who_suffers_and_what_changed() -> None:
    telemetry = {
        "a": {
            "requests": Series(np.array([90.0]), np.array(CALM)),
            "last_deployment_age_seconds": Series(np.array([60.0])),
        },
        "web": {"latency_p99": Series(np.array([9.0]), np.array(CALM))},
    }
    told = sentences_of(Incident("x", ("web", "a"), {"web": ["a"]}, telemetry), ["a"])["a"]
    assert [sentence.split()[0] for sentence in told] == ["deployed", "its", "requests"]


def test_what_got_worse_does_not_hide_behind_what_got_better() -> None:
    assert moved(latency_p99=([0.01, 1.7], CALM))[0].startswith("latency_p99 rose from 1 to 1.7")
    assert moved(success_rate=([1.0, 0.1], [1.0, 0.99, 0.98, 1.0, 1.0]))[0].startswith(
        "success_rate fell from 100 % to 10 %"
    )


@pytest.mark.parametrize(
    ("metric", "points", "sentence"),
    [
        ("trace_errors", [5.0], "trace_errors rose from 0 to 5"),
        (
            "restart_count",
            [0.0, 3.0],
            "restart_count rose from 0 to 3, since point 2 of 2",
        ),
        ("trace_spans", [85.0], "trace_spans rose from 0 to 85"),
    ],
)
def test_what_was_zero_throughout_is_told(metric: str, points: list[float], sentence: str) -> None:
    assert moved(**{metric: (points, IDLE)}) == [sentence]


def test_what_was_zero_throughout_is_not_the_strongest_by_this() -> None:
    assert names(moved(queue_length=([3.0], IDLE), cpu=([9.0], CALM))) == ["cpu", "queue_length"]


def test_a_process_that_starts_anew_says_most() -> None:
    assert names(moved(restart_count=([3.0], IDLE), latency_p99=([9.0], CALM)))[0] == "restart_count"


def test_what_was_mostly_zero_is_held_against_its_other_points() -> None:
    past = [0.0, 0.0, 3.0, 0.0, 0.0, 0.0]
    assert moved(restart_count=([3.0], past)) == []
    assert moved(restart_count=([30.0], past)) == ["restart_count rose from 0 to 30"]


@pytest.mark.parametrize(
    ("metric", "usual", "now", "told"),
    [
        ("memory_bytes", 5.1e8, 1.02e9, "from 510 MB to 1.02 GB"),
        ("latency_p99_s", 0.0005, 2.1, "from 500 µs to 2.1 s"),
        ("latency_mean_ms", 24.0, 1750.0, "from 24 ms to 1.75 s"),
        ("MemoryUsage(Mi)", 100.0, 2000.0, "from 105 MB to 2.1 GB"),
        ("cpu_throttled_share", 0.01, 0.4, "from 0.01 to 0.4"),
        ("cpu_percent", 12.0, 97.0, "from 12 % to 97 %"),
        ("http_error_ratio", 0.01, 0.456, "from 1 % to 45.6 %"),
        ("client_errors_dns_per_second", 0.01, 8.0, "from 0.01 to 8"),
        ("disk_used_bytes", 0.0, 900.0, "from 0 bytes to 900 bytes"),
    ],
)
def test_figures_have_the_units_that_names_tell(metric: str, usual: float, now: float, told: str) -> None:
    (sentence,) = moved(**{metric: ([now], [usual] * 5)})
    assert told in sentence


@pytest.mark.parametrize(("lines", "bad"), [([100.0] * 3, False), ([8.0] * 3, True), (None, True)])
def test_errors_that_grow_with_all_log_lines_are_no_worse(lines: list[float] | None, bad: bool) -> None:
    metrics = {"log_err_count": ([4.0] * 3, [1.0] * 6), "cpu": ([2.0], CALM)}
    if lines:
        metrics["log_count"] = (lines, [25.0] * 6)
    assert names(moved(**metrics)) == (["log_err_count", "cpu"] if bad else ["cpu"])


@pytest.mark.parametrize(
    ("metric", "points", "past", "sentence"),
    [
        (
            "trace_p90_us",
            [188e3, 5620.0],
            [188e3] * 5,
            "trace_p90_us fell from 188 ms to 5.62 ms, an improvement, since point 2 of 2",
        ),
        ("success_rate", [1.0], [0.5] * 5, "success_rate rose from 50 % to 100 %, an improvement"),
        (
            "error_rate",
            [0.6, 0.6, 0.01],
            [],
            "error_rate fell from 60 % to 1 %, an improvement, since point 3 of 3",
        ),
        # Fewer requests need less CPU: that is no improvement.
        ("cpu", [0.1], CALM, "cpu fell from 1 to 0.1"),
        ("requests", [0.1], CALM, "requests fell from 1 to 0.1"),
    ],
)
def test_an_improvement_is_said_to_be_one(
    metric: str, points: list[float], past: list[float], sentence: str
) -> None:
    assert moved(**{metric: (points, past)}) == [sentence]


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ("error_rate", "error_rate is 50 % where the others have 1 %, since point 1 of 2"),
        # Some services are always slower than others.
        ("latency_p99", "latency_p99 fell from 0.9 to 0.5, an improvement, since point 2 of 2"),
    ],
)
def test_a_share_that_is_still_bad_beside_its_peers_is_no_improvement(metric: str, sentence: str) -> None:
    rates = {"a": [0.9, 0.5], "b": [0.01, 0.01], "c": [0.01, 0.01]}
    telemetry = {name: {metric: Series(np.array(rate))} for name, rate in rates.items()}
    told = sentences_of(Incident("x", tuple(rates), {}, telemetry), ["a"])["a"]
    assert told == (sentence,)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0000123, "0.0000123"),
        (1e-30, "0"),
        (0.05, "0.05"),
        (999.6, "1,000"),
        (1234.0, "1,230"),
        (43_800.0, "43,800"),
        (2.5e9, "2,500,000,000"),
        (1e300, "over 999,000,000,000,000"),
        (-2.5e9, "-2,500,000,000"),
        (-1e-30, "0"),
    ],
)
def test_numbers_are_for_people(value: float, text: str) -> None:
    (sentence,) = moved(queue_length=([5e5], [value] * 5))
    assert re.search(rf"(rose|fell) from {re.escape(text)} to 500,000", sentence)
    assert not re.search(r"\de[+-]?\d", sentence)


@pytest.mark.parametrize("idle", [[0.0] * 6, [0.0, NAN, 0.0, 0.0]])
def test_an_idle_service_that_is_asked_again_is_not_accused(idle: list[float]) -> None:
    told = moved(availability_Average=([0.0, 100.0], idle), requests=([0.0, 40.0], idle), cpu=([9.0], CALM))
    assert names(told)[0] == "cpu"
    assert moved(availability_Average=([0.0, 100.0], idle)) == [
        "availability_Average rose from 0 % to 100 %, an improvement, since point 2 of 2"
    ]


def test_durations_of_zero_are_no_past() -> None:
    """There were no calls before, so the first durations are not an increase."""
    assert moved(latency_p99=([0.0, 0.2, 0.21], IDLE)) == []
    assert moved(latency_p99=([0.0, 0.2, 0.9], IDLE)) == [
        "latency_p99 rose from 0.2 to 0.9, since point 3 of 3"
    ]
