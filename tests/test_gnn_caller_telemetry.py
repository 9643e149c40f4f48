"""What callers measure of a service counts as the service's own."""

import numpy as np

from data.channels import default_channel_map
from data.incident import Incident, Series
from gnn.features.caller_telemetry import with_caller_metrics
from gnn.registry import make_ranker

GRAPH = {"web": ["api"], "api": ["db", "cache"], "db": [], "cache": []}
SERVICES = ("web", "api", "db", "cache")


def series(now: float, usual: float = 1.0) -> Series:
    noise = 0.01 * np.sin(np.arange(30))
    return Series(now + noise[:5], usual + noise)


def of(incident: Incident) -> dict[str, dict[str, Series]]:
    return {
        name: dict(metrics) for name, metrics in with_caller_metrics(incident, default_channel_map()).items()
    }


def test_a_service_that_only_its_callers_measure_is_found() -> None:
    """The mesh measures only calls; a failing call points to its callee."""
    calls = {
        (caller, callee): {"latency_p99": series(1.0), "error_rate": series(0.01, 0.01)}
        for caller, callees in GRAPH.items()
        for callee in callees
    }
    calls["api", "db"] = {"latency_p99": series(9.0), "error_rate": series(0.6, 0.01)}
    calls["web", "api"] = {"latency_p99": series(8.0), "error_rate": series(0.5, 0.01)}
    incident = Incident("mesh", SERVICES, GRAPH, call_telemetry=calls)
    assert make_ranker("gnn").rank(incident).services[0] == "db"


def test_what_a_service_measures_itself_stands() -> None:
    own = {"db": {"http_server_request_duration_p99": series(2.0)}}
    calls = {("api", "db"): {"latency_p99": series(9.0), "error_rate": series(0.6)}}
    told = of(Incident("own", SERVICES, GRAPH, own, calls))["db"]
    assert set(told) == {"http_server_request_duration_p99", "error_rate"}
    assert told["http_server_request_duration_p99"] is own["db"]["http_server_request_duration_p99"]


def test_of_several_callers_the_worst_counts_at_each_point() -> None:
    calls = {
        ("web", "db"): {"latency_p99": Series(np.array([1.0, 5.0, np.nan]), np.array([1.0, 1.0]))},
        ("api", "db"): {"latency_p99": Series(np.array([3.0, 2.0]), np.array([2.0]))},
        ("db", "db"): {"latency_p99": Series(np.array([99.0]))},
        ("web", "elsewhere"): {"latency_p99": Series(np.array([99.0]))},
    }
    told = of(Incident("several", SERVICES, GRAPH, call_telemetry=calls))
    assert set(told) == {"db"}
    np.testing.assert_array_equal(told["db"]["latency_p99"].incident, [3.0, 5.0, np.nan])
    np.testing.assert_array_equal(told["db"]["latency_p99"].baseline, [1.0, 2.0])


def test_the_least_is_the_worst_of_what_should_be_high() -> None:
    calls = {
        ("web", "db"): {"availability": Series(np.array([0.9, 1.0]))},
        ("api", "db"): {"availability": Series(np.array([1.0, 0.5]))},
    }
    told = of(Incident("high", SERVICES, GRAPH, call_telemetry=calls))["db"]["availability"]
    np.testing.assert_array_equal(told.incident, [0.9, 0.5])


def test_without_call_telemetry_nothing_is_copied() -> None:
    incident = Incident("plain", SERVICES, GRAPH, {"db": {"latency_p99": series(1.0)}})
    assert with_caller_metrics(incident, default_channel_map()) is incident.telemetry
