"""What is told of alerts: their kind and direction, calls counted, the bad first."""

import pytest

from data.channels import default_channel_map
from data.incident import AlertEvent, Incident
from gnn.evidence import explain

GRAPH = {"web": ("db",), "api": ("db",)}


def alerted(*alerts: AlertEvent) -> str:
    incident = Incident("x", ("web", "api", "db"), GRAPH, alerts=alerts)
    return explain(incident, ["db"], default_channel_map())["db"][0]


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
