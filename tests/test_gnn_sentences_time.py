"""Sentences about time: onset, age of changes, what is usual, and where a call's time is lost."""

from dataclasses import replace

import numpy as np
import pytest
from telling import sentences_of

from data.incident import AlertEvent, Incident, Series

CALM = np.array([1.0, 1.1, 0.9, 1.2, 0.8])
AT_14_UTC = 1_767_276_000.0


def told(incident: Incident, service: str) -> tuple[str, ...]:
    return sentences_of(incident, [service])[service]


def slow(*now: float) -> Series:
    return Series(np.array(now), CALM)


def at_two(**metrics: Series) -> Incident:
    return Incident("x", ("a",), {}, {"a": metrics}, start_s=AT_14_UTC, step_s=60.0)


def test_a_known_clock_tells_the_time() -> None:
    (sentence,) = told(at_two(latency_p99_s=slow(1.0, 1.1, 1.0, 9.0, 9.0)), "a")
    assert sentence == "latency_p99_s rose from 1 s to 9 s, since 14:03 UTC"


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (480.0, "deployed 4 min before, at 13:56 UTC"),
        (60.0, "deployed 3 min into the incident, at 14:03 UTC"),
    ],
)
def test_a_change_is_placed_beside_the_beginning(age_s: float, words: str) -> None:
    ages = Series(age_s + 60.0 * np.arange(-4.0, 1.0))
    assert words in told(at_two(deploy_age_s=ages, latency_p99_s=slow(9.0, 9.0, 9.0, 9.0, 9.0)), "a")
    ago = replace(at_two(deploy_age_s=ages), start_s=None, step_s=None)
    assert told(ago, "a") == (f"deployed {age_s / 60:.0f} min ago" if age_s > 120 else "deployed 60 s ago",)


def test_what_changed_at_most_services_is_no_evidence() -> None:
    young, old = Series(np.array([60.0])), Series(np.array([90_000.0]))
    for others, words in ((old, ("process started 60 s ago",)), (young, ())):
        telemetry = {name: {"uptime_s": young if name == "a" else others} for name in "abcd"}
        assert told(Incident("x", tuple("abcd"), {}, telemetry), "a") == words


def test_what_is_raised_on_other_days_too_is_said_to_be_and_comes_last() -> None:
    alerts = (AlertEvent("a", "metric", "HighMemory", "up"), AlertEvent("a", "metric", "HighErrorRate", "up"))
    incident = Incident("x", ("a",), {}, alerts=alerts, routine={alerts[0]: 0.9})
    assert told(incident, "a") == ("2 alerts of its own: HighErrorRate up, HighMemory up, as on other days",)


def test_that_a_service_is_down_is_told_first() -> None:
    alerts = (AlertEvent("a", "metric", "HighErrorRate", "up"), AlertEvent("a", "metric", "TargetDown", "up"))
    incident = replace(at_two(latency_p99_s=slow(9.0)), alerts=alerts)
    assert told(incident, "a")[0] == "2 alerts of its own: TargetDown, HighErrorRate up"


def calls(**metrics: float) -> Incident:
    """Calls from orders to user, with a baseline."""
    measured = {
        name: Series(np.full(3, value), np.full(8, 0.004 if name.endswith("_s") else 0.0))
        for name, value in metrics.items()
    }
    return Incident(
        "x", ("orders", "user"), {"orders": ["user"]}, call_telemetry={("orders", "user"): measured}
    )


def test_the_time_between_two_services_is_told_from_that_in_the_callee() -> None:
    incident = calls(latency_caller_s=2.1, latency_callee_s=0.004, latency_gap_s=2.096)
    for end in incident.services:
        first = told(incident, end)[0]
        assert first == "calls from orders to user take 2.1 s, of which user accounts for 4 ms"


def test_calls_that_never_arrive_are_counted() -> None:
    assert (
        told(calls(unmatched_share=0.08), "user")[0] == "8 % of the calls from orders to user get no answer"
    )


def test_a_slow_callee_is_no_fault_of_the_way() -> None:
    first = told(calls(latency_caller_s=2.1, latency_callee_s=2.09, latency_gap_s=0.004), "user")[0]
    assert first.startswith("calls from orders: the time they take rose from 4 ms to 2.1 s")
