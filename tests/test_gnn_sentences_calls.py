"""Sentences about calls: their alerts, what callers measure, which callers suffer."""

import numpy as np
import pytest
from telling import sentences_of

from data.incident import AlertEvent, Incident, Series
from gnn.explain.evidence_items import EvidenceItem

USUAL = [0.02, 0.021, 0.019, 0.022, 0.018]
GRAPH = {"web": ("db",), "api": ("db",)}


def points(*now: float) -> Series:
    return Series(np.array(now), np.array(USUAL))


def told(weights: dict[EvidenceItem, float] | None = None, **calls: Series) -> tuple[str, ...]:
    """The sentences about db, whose latency only its callers measure."""
    measured = {(caller, "db"): {"latency_p99": series} for caller, series in calls.items()}
    incident = Incident("x", ("web", "api", "db"), GRAPH, call_telemetry=measured)
    return sentences_of(incident, ["db"], None, weights)["db"]


def test_the_loudest_call_that_got_worse_is_told_and_its_callers_are_degraded() -> None:
    assert told(web=points(1.9), api=points(0.2)) == (
        "calls from web: latency_p99 rose from 0.02 to 1.9",
        "2 of its 2 callers are degraded too: web, api",
    )


def test_of_calls_too_what_weighs_more_is_told_first() -> None:
    (first, _) = told({EvidenceItem("call", "db", "api"): 1.0}, web=points(1.9), api=points(0.2))
    assert first == "calls from api: latency_p99 rose from 0.02 to 0.2"


def test_calls_that_are_well_or_better_say_nothing() -> None:
    assert told(web=points(0.02), api=points(0.001)) == ("no metrics of its own; called by web, api",)


def test_a_caller_that_only_the_measured_calls_name_counts() -> None:
    assert told(web=points(0.02), cron=points(0.9))[-1] == "1 of its 3 callers is degraded too: cron"


def test_a_call_is_compared_with_other_calls_where_it_has_no_past() -> None:
    lone = {name: Series(np.array([0.02])) for name in ("web", "api")}
    assert told(**lone, cron=Series(np.array([2.0])))[0] == (
        "calls from cron: latency_p99 is 2 where the others have 0.02"
    )


def test_calls_are_told_between_own_metrics_and_what_moved_without_being_bad() -> None:
    own = {"cpu": points(0.9), "requests": points(9.0)}
    calls = {("web", "db"): {"latency_p99": points(1.9)}, ("db", "db"): {"latency_p99": points(9.0)}}
    incident = Incident("x", ("web", "db"), {"web": ("db",)}, {"db": own}, calls)
    (cpu, call, caller, requests) = sentences_of(incident, ["db"])["db"]
    assert cpu.startswith("cpu") and call.startswith("calls from web: ") and requests.startswith("requests")
    assert caller == "its only caller is degraded too: web"


def alerted(*alerts: AlertEvent) -> str:
    incident = Incident("x", ("web", "api", "db"), GRAPH, alerts=alerts)
    return sentences_of(incident, ["db"])["db"][0]


def test_alerts_say_their_kind_and_direction() -> None:
    assert (
        alerted(
            AlertEvent("db", "metric", "cpu_usage", "up"),
            AlertEvent("db", "trace", "GET /x", "PD", "web"),
            AlertEvent("db", "log", "42"),
        )
        == "3 alerts of its own: cpu_usage up, a slow call from web, log pattern 42"
    )


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        (AlertEvent("db", "metric", "cpu_usage"), "cpu_usage"),
        (AlertEvent("db", "metric", "mem_free", "down"), "mem_free down"),
        (AlertEvent("db", "trace", "GET /x", "500", "api"), "a failed call from api (500)"),
        (AlertEvent("db", "trace", "GET /x", "ERROR", "api"), "a failed call from api"),
        (AlertEvent("db", "trace", "GET /x", "PD", "db"), "a slow call from itself"),
        (AlertEvent("db", "trace", "GET /x", None, "api"), "an unusual call from api"),
        (AlertEvent("db", "trace", "GET /x", "PD", "-1"), "a slow call from outside"),
        (AlertEvent("db", "trace", "GET /x", "PD"), "a slow call"),
    ],
)
def test_one_alert_in_words(alert: AlertEvent, words: str) -> None:
    assert alerted(alert) == f"1 alert of its own: {words}"


def test_calls_that_fare_alike_are_counted() -> None:
    slow = [AlertEvent("db", "trace", f"GET /{k}", "PD", "web") for k in range(3)]
    assert alerted(*slow) == "3 alerts of its own: 3 slow calls from web"


def test_alerts_about_what_got_worse_are_named_first() -> None:
    names = [("qps", "down"), ("success_rate", "up"), ("latency_p50", "down"), ("success_rate", "down")]
    alerts = [AlertEvent("db", "metric", name, direction) for name, direction in names]
    assert alerted(*alerts) == "4 alerts of its own: success_rate down, qps down, success_rate up"
