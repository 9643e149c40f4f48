"""Jaeger, Tempo and Alertmanager on a small real HTTP server: their answers end in the right culprit."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
import pytest
from telemetry_server import Answer, telemetry_server
from test_data_live_faults import healthy

from agent.live_diagnosis import DiagnoseOptions, Diagnosis, diagnose
from data.channels import default_channel_map
from data.errors import SettingsError, TelemetryFault
from gnn.registry import make_ranker

AT_S, WINDOW_S, BASELINE_S = 1_780_000_000, 600, 2400
# caller, callee, seconds of a call: healthy, and in the incident as the caller and as the callee see it
Calls = Sequence[tuple[str, str, float, float, float]]
CALLS = (
    ("web", "cart", 0.05, 1.03, 1.0275),
    ("web", "users", 0.03, 0.03, 0.029),
    ("cart", "stock", 0.02, 1.0, 0.019),
)


SLOW = (*CALLS[:2], ("cart", "stock", 0.02, 1.0, 0.999))  # stock itself, not the way there


def spans_of(trace: int, calls: Calls = CALLS) -> tuple[float, list[tuple[str, str, str, str, float, float]]]:
    """A trace from its start and its spans: id, parent, service, kind, start, seconds."""
    rng = random.Random(trace)
    start = AT_S - rng.uniform(1, WINDOW_S + BASELINE_S)
    sick = start > AT_S - WINDOW_S
    spans = [("1", "", "web", "server", start, 1.08 if sick else 0.1)]
    server_of, noise = {"web": "1"}, rng.uniform(0.9, 1.1)
    for place, (caller, callee, well_s, caller_s, callee_s) in enumerate(calls):
        seen, served = (caller_s, callee_s) if sick else (well_s, well_s * 0.95)
        spans.append((f"c{place}", server_of[caller], caller, "client", start + 0.001, seen * noise))
        spans.append((f"d{place}", f"c{place}", callee, "server", start + 0.001, served * noise))
        server_of[callee] = f"d{place}"
    return start, spans


def jaeger(with_dependencies: bool = True, spans: Calls = CALLS) -> Answer:
    def answer(_: str, path: str, parameters: Mapping[str, Sequence[str]], __: Mapping[str, str]) -> object:
        if path == "/api/services":
            return {"data": ["web", "cart", "users", "stock", "jaeger-query"], "total": 5}
        if path == "/api/dependencies":
            assert float(parameters["endTs"][0]) == AT_S * 1e3 and float(parameters["lookback"][0]) > 0
            calls = [{"parent": one[0], "child": one[1], "callCount": 9} for one in CALLS]
            return {"data": calls if with_dependencies else []}
        start, end = (float(parameters[name][0]) / 1e6 for name in ("start", "end"))
        return {"data": [trace for n in range(200) if (trace := jaeger_trace(n, start, end, spans))]}

    return answer


def jaeger_trace(number: int, start_s: float, end_s: float, calls: Calls) -> dict[str, object] | None:
    began, spans = spans_of(number, calls)
    if not start_s <= began < end_s:
        return None
    names = sorted({span[2] for span in spans})
    return {
        "traceID": f"{number:x}",
        "processes": {name: {"serviceName": name} for name in names},
        "spans": [
            {
                "traceID": f"{number:x}", "spanID": f"{number:x}{one}", "operationName": "GET /",
                "processID": service, "references": [
                    {"refType": "CHILD_OF", "traceID": f"{number:x}", "spanID": f"{number:x}{parent}"}
                ] if parent else [],
                "startTime": int(at * 1e6), "duration": int(seconds * 1e6),
                "tags": [{"key": "span.kind", "type": "string", "value": kind}],
            }
            for one, parent, service, kind, at, seconds in spans
        ],
    }  # fmt: skip


def tempo(spans: Calls = CALLS) -> Answer:
    def answer(_: str, path: str, parameters: Mapping[str, Sequence[str]], __: Mapping[str, str]) -> object:
        if path == "/api/search":
            start, end = (float(parameters[name][0]) for name in ("start", "end"))
            return {"traces": [{"traceID": f"{n:x}"} for n in range(200) if start <= spans_of(n)[0] < end]}
        number = int(path.rpartition("/")[2], 16)
        resources = []
        for one, parent, service, kind, at, seconds in spans_of(number, spans)[1]:
            span = {
                "traceId": f"{number:032x}", "spanId": f"{number:x}{one}",
                "parentSpanId": f"{number:x}{parent}" if parent else "",
                "name": "GET /", "kind": f"SPAN_KIND_{kind.upper()}", "startTimeUnixNano": str(int(at * 1e9)),
                "endTimeUnixNano": str(int((at + seconds) * 1e9)),
            }  # fmt: skip
            name = {"key": "service.name", "value": {"stringValue": service}}
            resources.append({"resource": {"attributes": [name]}, "scopeSpans": [{"spans": [span]}]})
        return {"trace": {"resourceSpans": resources}}

    return answer


def alertmanager(_: str, path: str, parameters: Mapping[str, Sequence[str]], __: Mapping[str, str]) -> object:
    return [
        {
            "labels": {"alertname": "HighLatency", "service": "stock", "severity": "page"}, "annotations": {},
            "startsAt": "2026-05-28T20:20:00.000Z", "endsAt": "2026-05-28T21:20:00.000Z", "fingerprint": "1",
            "status": {"state": "active", "inhibitedBy": [], "silencedBy": []},
        }
    ]  # fmt: skip


def look(**servers: Answer) -> Diagnosis:
    with ExitStack() as stack:
        urls = {name: stack.enter_context(telemetry_server(answer)) for name, answer in servers.items()}
        asked = DiagnoseOptions(at=str(AT_S), window="10m", baseline="40m", **urls)
        channels = default_channel_map()
        return asyncio.run(diagnose(asked, asked.sources({}), make_ranker("gnn"), channels, lambda _: None))


@pytest.mark.parametrize(
    "servers", [{"jaeger": jaeger(spans=SLOW)}, {"tempo": tempo(SLOW)}], ids=["jaeger", "tempo"]
)
def test_traces_alone_name_the_culprit(servers: dict[str, Answer]) -> None:
    found = look(**servers)
    assert found.ranking.services[0] == "stock"
    own = found.incident.telemetry["cart"]["own_latency_s"]
    assert np.nanmedian(own.incident) == pytest.approx(np.nanmedian(own.baseline), rel=0.3)


@pytest.mark.parametrize("servers", [{"jaeger": jaeger()}, {"tempo": tempo()}], ids=["jaeger", "tempo"])
def test_traces_alone_tell_the_gap_of_the_call_to_the_culprit(servers: dict[str, Answer]) -> None:
    found = look(**servers)
    incident = found.incident
    assert {(a, b) for a, callees in incident.call_graph.items() for b in callees} == {
        one[:2] for one in CALLS
    }
    gap = incident.call_telemetry["cart", "stock"]["latency_gap_s"]
    assert np.nanmedian(gap.baseline) < 0.01 and np.nanmedian(gap.incident) == pytest.approx(0.98, rel=0.1)
    assert np.nanmedian(incident.telemetry["stock"]["latency_p50_s"].incident) < 0.05
    lost = incident.call_telemetry["cart", "stock"]["unmatched_share"]
    assert np.nanmax(lost.incident) == 0.0  # though Jaeger tells each trace once for each of its services
    [stock] = [one for one in found.ranking.candidates if one.service == "stock"]
    assert "from cart to stock take 1.01 s, of which stock accounts for 19" in stock.evidence[0].text


def test_calls_come_from_traces_where_jaeger_has_no_dependencies() -> None:
    graph = look(jaeger=jaeger(with_dependencies=False)).incident.call_graph
    assert {(a, b) for a, callees in graph.items() for b in callees} == {one[:2] for one in CALLS}


def test_alerts_of_alertmanager_join_what_the_others_tell() -> None:
    incident = look(jaeger=jaeger(), alertmanager=alertmanager).incident
    assert [(alert.service, alert.name) for alert in incident.alerts] == [("stock", "HighLatency")]


def test_a_service_that_sources_name_differently_is_one() -> None:
    def other_names(*asked: object) -> object:
        return json.loads(json.dumps(jaeger()(*asked)).replace('"stock"', '"StockService"'))

    found = look(jaeger=other_names, alertmanager=alertmanager)
    assert "Treated as the same service: stock = StockService." in found.notes
    assert [alert.service for alert in found.incident.alerts] == ["StockService"]
    assert "stock" not in found.incident.services


def test_one_source_that_is_down_is_told_and_the_others_answer() -> None:
    found = look(jaeger=jaeger(), tempo=lambda *_: 503, prometheus=lambda *_: 401)
    assert "stock" in found.incident.services
    told = " ".join(found.notes)
    assert "Tempo answered 503" in told and "Prometheus answered 401" in told


def test_prometheus_counts_before_sampled_traces() -> None:
    found = look(prometheus=healthy, jaeger=jaeger())
    assert {"a", "b", "web", "stock"} <= set(found.incident.services)


def test_nobody_that_answers_is_an_error() -> None:
    with pytest.raises(TelemetryFault, match="Jaeger answered 500"):
        look(jaeger=lambda *_: 500)


def test_nobody_to_ask_is_an_error() -> None:
    with pytest.raises(SettingsError, match="--prometheus"):
        DiagnoseOptions().sources({})
