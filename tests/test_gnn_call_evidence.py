"""Calls: what callers, callees and traces say of each, and which service explains the bad ones."""

from dataclasses import replace

import numpy as np
import pytest

from data.incident import AlertEvent, Incident, Series
from gnn.features.call_evidence import CALL_FEATURES
from gnn.features.featurize import GRAPH_FEATURES, SERVICE_FEATURES, featurize

COLUMN = {name: index for index, name in enumerate(SERVICE_FEATURES)}
CALL = {name: index for index, name in enumerate(CALL_FEATURES)}
# A front-end with three branches; everything else is called by one service.
CALLS = {"front": ["a", "b", "c"], "a": ["x", "y"], "b": ["z"], "c": [], "x": [], "y": [], "z": []}
PAIRS = [(caller, callee) for caller, callees in CALLS.items() for callee in callees]


def series(now: float, past: float) -> Series:
    wave = 1.0 + 0.02 * np.sin(np.arange(20.0))
    return Series(np.full(5, now), past * wave)


def delayed(at: str) -> Incident:
    """All calls of one service wait 0.5 s on the network, both ways; its callers are slow in turn."""
    telemetry = {}
    for caller, callee in PAIRS:
        gap = 0.5 if at in (caller, callee) else 0.002
        within = 0.55 if at in CALLS[callee] or (callee == at and CALLS[at]) else 0.05
        telemetry[caller, callee] = {
            "latency_caller_s": series(within + gap, 0.052),
            "latency_callee_s": series(within, 0.05),
            "latency_gap_s": series(gap, 0.002),
        }
    return Incident("delay", tuple(CALLS), CALLS, call_telemetry=telemetry)


def traced(*bad: tuple[str, str], direction: str | None = "PD") -> Incident:
    alerts = tuple(AlertEvent(callee, "trace", f"GET /{callee}", direction, caller) for caller, callee in bad)
    return Incident("traced", tuple(CALLS), CALLS, alerts=alerts)


def first(incident: Incident, column: str) -> str:
    return incident.services[int(featurize(incident).x[:, COLUMN[column]].argmax())]


@pytest.mark.parametrize("at", ["a", "b", "front"])
def test_who_waits_on_the_network_both_ways_explains_it(at: str) -> None:
    assert first(delayed(at), "calls_cover") == at
    assert first(delayed(at), "calls_source") == at


def test_what_further_calls_explain_is_no_source() -> None:
    chain = traced(("front", "a"), ("a", "x"), ("a", "y"))
    assert first(chain, "calls_source") == "a"
    edge = featurize(chain).edge_attr[:, CALL["unexplained"]]
    pairs = [(caller, callee) for caller, callee in zip(*featurize(chain).edge_index.tolist(), strict=True)]
    names = list(CALLS)
    told = {
        (names[caller], names[callee]): value for (caller, callee), value in zip(pairs, edge, strict=True)
    }
    assert told["a", "x"] > told["front", "a"]


def test_what_the_best_explains_is_left_to_nobody() -> None:
    left = featurize(traced(("a", "x"), ("a", "y"), ("b", "z"))).x[:, COLUMN["calls_left"]]
    told = dict(zip(CALLS, left.tolist(), strict=True))
    assert told["x"] == told["y"] == 0.0
    assert told["a"] > told["b"] > 0.0


def test_a_trace_that_says_neither_slow_nor_failed_is_unknown() -> None:
    known, unknown = (featurize(traced(("a", "x"), direction=how)).edge_attr for how in ("500", None))
    assert known[:, CALL["failing"]].max() > 0.0
    assert unknown[:, CALL["failing"]].max() == unknown[:, CALL["slow"]].max() == 0.0
    assert 0.0 < unknown[:, CALL["unexplained"]].max() < known[:, CALL["unexplained"]].max()


def test_what_is_traced_every_day_says_nothing() -> None:
    incident = traced(("a", "x"), ("b", "z"))
    routine = replace(incident, routine={incident.alerts[0]: 1.0})
    assert first(routine, "calls_source") in ("b", "z")
    assert featurize(routine).x[:, COLUMN["alerts"]].tolist()[list(CALLS).index("x")] == 0.0


def test_a_call_that_is_measured_is_a_call_whatever_the_graph_says() -> None:
    known = delayed("a")
    unknown = replace(known, call_graph={name: [] for name in CALLS})
    assert np.array_equal(featurize(known).edge_index, featurize(unknown).edge_index)


def test_without_evidence_of_calls_there_are_no_such_columns_and_the_control_never_sees_them() -> None:
    columns = [COLUMN[name] for name in SERVICE_FEATURES if name.startswith("calls_")]
    assert not featurize(Incident("quiet", tuple(CALLS), CALLS)).x[:, columns].any()
    assert set(columns) <= set(GRAPH_FEATURES)
