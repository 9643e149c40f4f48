"""Telemetry in every form names the culprit, and what is no telemetry is refused in one line."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shop_telemetry as shop
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import FirewatchError, SchemaError
from data.incident import AlertEvent
from data.sources.files.reading import read_evidence
from data.sources.own_form import parse_incident, to_json
from gnn.registry import make_ranker

EDGES = {"calls.csv": shop.edges_csv()}
ALERTS = [shop.alert("payment", "PaymentServiceDown"), shop.alert("web", "HighErrorRate")]
SINCE = "2023-11-14T22:29:00.000Z"


def alerts_of(**more: Any) -> list[dict[str, Any]]:
    return [{**one, **more} for one in ALERTS]


def scrapes() -> dict[str, str]:
    """Two scrapes before and two after, of each service, with counters and a histogram."""
    found = {}
    for service in shop.SERVICES:
        c = shop.Counters(service)
        for number, index in enumerate((*range(40, 80, 4),)):
            lines = ["# TYPE http_requests_total counter"]
            lines += [
                f'http_requests_total{{code="{code}"}} {value[index]:.3f}'
                for code, value in (("200", c.ok), ("500", c.failed))
            ]
            lines.append("# TYPE http_request_duration_seconds histogram")
            lines += [
                f'http_request_duration_seconds_bucket{{le="{bound}"}} {values[index]:.3f}'.replace(
                    "inf", "+Inf"
                )
                for bound, values in c.buckets.items()
            ]
            lines += [f"http_request_duration_seconds_sum {c.seconds[index]:.3f}"]
            lines += [f"http_request_duration_seconds_count {c.all[index]:.3f}"]
            found[f"{service}-{number}.txt"] = "\n".join(lines) + "\n"
    return found


def open_metrics() -> str:
    """One scrape of a federation: it has times, and many of them."""
    lines = ["# TYPE http_requests counter"]
    for service in shop.SERVICES:
        c = shop.Counters(service)
        for code, values in (("200", c.ok), ("500", c.failed)):
            for time, value in zip(shop.times, values, strict=True):
                lines.append(
                    f'http_requests_total{{service="{service}",code="{code}"}} {value:.3f} {time:.1f}'
                )
    return "\n".join([*lines, "# EOF"]) + "\n"


def native() -> str:
    """Native histograms: no `_bucket`, no `le`."""
    found = []
    for service in shop.SERVICES:
        c = shop.Counters(service)
        histograms = []
        for index, time in enumerate(shop.times):
            counts = np.diff([c.buckets[b][index] for b in (*shop.BOUNDS, np.inf)], prepend=0.0)
            bounds = (0.0, *shop.BOUNDS, 10.0)
            buckets = [[0, str(bounds[i]), str(bounds[i + 1]), str(n)] for i, n in enumerate(counts)]
            one = {"count": str(c.all[index]), "sum": str(c.seconds[index]), "buckets": buckets}
            histograms.append([float(time), one])
        labels = {"__name__": "http_server_request_duration_seconds", "job": f"shop/{service}"}
        found.append({"metric": labels, "histograms": histograms})
    return shop.matrix(found)


def kiali() -> str:
    nodes = [{"data": {"id": n, "nodeType": "app", "app": n, "workload": f"{n}-v1"}} for n in shop.SERVICES]
    edges = [
        {"data": {"id": "e", "source": a, "target": b, "responseTime": "20",
                  "traffic": {"protocol": "http", "rates": {"http": "5.0", "httpPercentErr": "0.1"}}}}
        for a, b in shop.CALLS
    ]  # fmt: skip
    return json.dumps({"timestamp": shop.START, "elements": {"nodes": nodes, "edges": edges}})


def event(
    name: str, reason: str, kind: str = "Pod", type_: str = "Warning", message: str = ""
) -> dict[str, Any]:
    return {
        "involvedObject": {"kind": kind, "name": name}, "reason": reason, "type": type_, "message": message,
        "firstTimestamp": "2023-11-14T22:28:20Z", "lastTimestamp": "2023-11-14T22:30:00Z", "metadata": {},
    }  # fmt: skip


def events() -> str:
    told = [
        event("payment-7d4b9c6f5d-x2x7k", "BackOff"),
        event(
            "payment", "ScalingReplicaSet", "Deployment", "Normal", "Scaled up replica set payment-7d4b to 1"
        ),
        event("node-1", "NodeNotReady", "Node"),
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": told})


def dependencies() -> str:
    calls = [{"parent": caller, "child": callee, "callCount": 9} for caller, callee in shop.CALLS]
    return json.dumps({"data": calls, "total": 0})


def answer(name: str) -> str:
    """What a query that calculates answers: no metric's name, one series a service."""
    value = {"error_rate": shop.error_rate, "latency_p99": shop.latency_s}[name]
    result = [
        {"metric": {"service": s}, "values": [[float(t), str(value(s, i))] for i, t in enumerate(shop.times)]}
        for s in shop.SERVICES
    ]
    return shop.matrix(result)


def instants() -> str:
    """One question asked again and again: each answer is a moment."""
    answers = []
    for index, time in enumerate(shop.times):
        result = [
            {"metric": {"__name__": "http_request_latency_p99_seconds", "service": s},
             "value": [float(time), str(shop.latency_s(s, index))]}
            for s in shop.SERVICES
        ]  # fmt: skip
        answers.append({"status": "success", "data": {"resultType": "vector", "result": result}})
    return json.dumps(answers)


def tempo_search() -> str:
    """Traces by where they begin: every service has some of its own."""
    found = [
        {"traceID": f"{index}{s}", "rootServiceName": s, "rootTraceName": "job",
         "startTimeUnixNano": str(int(time * 1e9)), "durationMs": int(shop.latency_s(s, index) * 1e3)}
        for index, time in enumerate(shop.times) for s in shop.SERVICES
    ]  # fmt: skip
    return json.dumps({"traces": found, "metrics": {"inspectedTraces": len(found)}})


def own() -> dict[str, Any]:
    telemetry = {
        s: {"latency_p99_s": {"baseline": [shop.latency_s(s, i) for i in range(60)],
                              "incident": [[i, shop.latency_s(s, i)] for i in range(60, 80)]}}
        for s in shop.SERVICES
    }  # fmt: skip
    graph = {s: [b for a, b in shop.CALLS if a == s] for s in shop.SERVICES}
    return {"incident_id": "shop/1", "call_graph": graph, "telemetry": telemetry}


def lines(batches: list[dict[str, Any]], key: str) -> str:
    return "\n".join(json.dumps({key: [batch]}) for batch in batches)


def rcaeval_csv() -> str:
    return shop.wide([
        (int(t), s, metric, value)
        for i, t in enumerate(shop.times) for s in shop.SERVICES
        for metric, value in (("latency-90", shop.latency_s(s, i)), ("cpu", shop.latency_s(s, i)))
    ])  # fmt: skip


FORMS: dict[str, dict[str, str]] = {
    "query_range": {"prom.json": shop.matrix(shop.span_metrics())},
    "several answers in one list": {
        "prom.json": "[" + ",".join(shop.matrix([one]) for one in shop.span_metrics()) + "]"
    },
    "query": {"prom.json": instants(), **EDGES},
    "answers without names": {
        "error_rate.json": answer("error_rate"), "latency_p99.json": answer("latency_p99"), **EDGES,
    },
    "native histograms": {"prom.json": native(), **EDGES},
    "alerts of Prometheus": {
        "alerts.json": json.dumps({"data": {"alerts": alerts_of(state="firing", activeAt=SINCE)}}),
        **EDGES,
    },
    "rules of Prometheus": {
        "rules.json": json.dumps({"data": {"groups": [
            {"rules": [{"name": "x", "alerts": alerts_of(state="firing", activeAt=SINCE)}]}]}}),
        **EDGES,
    },
    "scrapes": {**scrapes(), **EDGES},
    "OpenMetrics": {"federate.txt": open_metrics(), **EDGES},
    "Jaeger": {"traces.json": shop.jaeger()},
    "Jaeger v3": {"traces.json": json.dumps({"result": {"resourceSpans": shop.otlp_batches()}})},
    "dependencies of Jaeger": {"deps.json": dependencies(), "t.csv": shop.table(shop.long)},
    "Zipkin": {"traces.json": shop.zipkin()},
    "OTLP traces": {"traces.json": json.dumps({"resourceSpans": shop.otlp_batches()})},
    "OTLP traces, lines": {"traces.jsonl": lines(shop.otlp_batches(), "resourceSpans")},
    "Tempo": {"trace.json": json.dumps({"batches": shop.otlp_batches()})},
    "Tempo v2": {"trace.json": json.dumps({"trace": {"resourceSpans": shop.otlp_batches()}})},
    "Tempo, a search": {"search.json": tempo_search(), **EDGES},
    "OTLP metrics": {"metrics.jsonl": shop.otlp_metrics_lines(), **EDGES},
    "OTLP logs": {"logs.jsonl": shop.otlp_logs_lines(), **EDGES},
    "webhook of Alertmanager": {
        "hook.json": json.dumps({"version": "4", "receiver": "r", "groupKey": "g", "status": "firing",
                                 "alerts": alerts_of(status="firing", startsAt=SINCE)}),
        **EDGES,
    },
    "Alertmanager": {
        "alerts.json": json.dumps(alerts_of(startsAt=SINCE, status={"state": "active"})), **EDGES,
    },
    "Kubernetes events": {"events.json": events(), "t.csv": shop.table(shop.long), **EDGES},
    "Kiali": {"kiali.json": kiali(), "t.csv": shop.table(shop.long)},
    "wide table": {"t.csv": shop.table(shop.wide), **EDGES},
    "wide table with tabs": {"t.tsv": shop.table(lambda rows: shop.wide(rows, "\t")), **EDGES},
    "long table": {"t.csv": shop.table(shop.long), **EDGES},
    "RCAEval": {
        "RE1/RE1-OB/payment_delay/1/data.csv": rcaeval_csv(),
        "RE1/RE1-OB/payment_delay/1/inject_time.txt": str(int(shop.times[60]))},
    "own form": {"incident.json": json.dumps(own())},
    "own form, pretty": {"incident.json": json.dumps(own(), indent=2)},
    "own form, list": {"incident.json": json.dumps([own()])},
    "own form, lines": {"incidents.jsonl": json.dumps(own()) + "\n"},
}  # fmt: skip


def written(folder: Path, files: dict[str, str]) -> list[Path]:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return [folder] if any("/" in name for name in files) else [folder / name for name in files]


@pytest.fixture(scope="module")
def ranker():
    return make_ranker("gnn")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_culprit(form, tmp_path, ranker):
    [incident] = read_evidence(written(tmp_path, FORMS[form])).incidents
    assert ranker.rank(incident).candidates[0].service == shop.CULPRIT
    if form == "RCAEval":
        assert (incident.root_causes, incident.fault, incident.system) == (("payment",), "delay", "RE1-OB")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_packed_files_are_read_as_they_come(pack, tmp_path):
    packed = tmp_path / "traces"
    packed.write_bytes(pack(shop.jaeger().encode()))
    plain = written(tmp_path, FORMS["Jaeger"])
    assert to_json(read_evidence([packed]).incidents[0]) == to_json(read_evidence(plain).incidents[0])
    packed.write_bytes(packed.read_bytes()[:-400])
    with pytest.raises(SchemaError):
        read_evidence([packed])


@pytest.mark.parametrize("form", [shop.wide, shop.long])
def test_tables_in_parquet_name_the_culprit(form, tmp_path, ranker):
    pd.read_csv(io.StringIO(shop.table(form))).to_parquet(tmp_path / "t")
    [incident] = read_evidence([tmp_path / "t", *written(tmp_path, EDGES)]).incidents
    assert ranker.rank(incident).candidates[0].service == shop.CULPRIT


def test_the_first_alert_that_pages_is_the_page(tmp_path):
    pages = [
        {**shop.alert(service, name), "startsAt": since, "status": {"state": "active"}}
        for service, name, since in (
            ("bank", "Slow", "2023-11-14T22:31:00Z"),
            ("web", "HighErrorRate", SINCE),
        )
    ]
    for one in pages:
        one["labels"]["severity"] = "page"
    told = [{**one, "startsAt": "2023-11-14T22:01:00Z", "status": {}} for one in ALERTS]
    paths = written(tmp_path, {"alerts.json": json.dumps(pages + told)})
    [incident] = read_evidence(paths).incidents
    assert incident.page is not None and incident.page.service == "web"


def test_metrics_traces_and_alerts_together_are_one_incident(tmp_path, ranker):
    files = {**FORMS["query_range"], **FORMS["Jaeger"], **FORMS["Alertmanager"]}
    [incident] = read_evidence(written(tmp_path, files)).incidents
    assert set(incident.services) == set(shop.SERVICES)
    assert AlertEvent("payment", "metric", "PaymentServiceDown") in incident.alerts
    assert {"own_latency_s", "latency_p99_s"} <= set(incident.telemetry["payment"])
    assert ranker.rank(incident).candidates[0].service == shop.CULPRIT


@pytest.mark.parametrize("form", ["query_range", "Jaeger", "Zipkin", "OTLP traces, lines"])
def test_calls_are_told_as_both_sides_see_them(form, tmp_path):
    [incident] = read_evidence(written(tmp_path, FORMS[form])).incidents
    metrics = incident.call_telemetry["web", "payment"]
    assert {"request_rate", "error_rate", "latency_caller_s", "latency_callee_s", "latency_gap_s"} <= set(
        metrics
    )
    assert np.nanmedian(metrics["latency_callee_s"].incident) == pytest.approx(1.0, rel=0.15)
    assert np.nanmedian(metrics["latency_callee_s"].baseline) == pytest.approx(0.05, rel=0.15)


def test_a_call_that_nobody_answers_is_unmatched(tmp_path):
    """From the incident on no call of web reaches payment, and web says so only by its own spans."""
    gone = [
        batch
        for batch, span in zip(shop.otlp_batches(), shop.spans(), strict=True)
        if span["start"] < shop.times[60] or span["service"] not in ("payment", "bank")
    ]
    paths = written(tmp_path, {"t.json": json.dumps({"resourceSpans": gone})})
    [incident] = read_evidence(paths, at=float(shop.times[60])).incidents
    lost = incident.call_telemetry["web", "payment"]["unmatched_share"]
    assert np.nanmax(lost.baseline[:-1]) == 0.0 and np.nanmin(lost.incident[1:]) == 1.0


def test_at_and_limit_are_kept_to(tmp_path):
    paths = written(tmp_path, FORMS["Jaeger"])
    assert read_evidence(paths, at=float(shop.times[50])).incidents[0].start_s == shop.times[50]
    few, all_ = (read_evidence(paths, limit=n).incidents[0] for n in (20, None))
    rate = few.telemetry["web"]["request_rate"]
    assert len(rate.incident) + len(rate.baseline) < len(all_.telemetry["web"]["request_rate"].baseline)


def test_an_incident_written_is_read_as_it_was(tmp_path):
    [incident] = read_evidence(written(tmp_path, FORMS["query_range"])).incidents
    again = parse_incident(json.loads(json.dumps(to_json(incident))), "again")
    assert to_json(again) == to_json(incident)
    assert again.start_s == incident.start_s and again.step_s == incident.step_s


def test_what_is_misspelt_or_unknown_is_told(shared):
    found = read_evidence([shared / "cases" / "typo-telemetry.json"])
    assert any("'telemtry'" in note and "'telemetry'" in note for note in found.notes)
    assert any("'wbe'" in note and "'web'" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"%PDF-1.4", "PDF"),
        (b"PK\x03\x04....", "zip"),
        (b"digraph { a -> b }", "caller,callee"),
        (b"<!DOCTYPE html><html></html>", "query_range"),
        (b'{"a": 1}', "fields a"),
        (b'{"status":"error","errorType":"bad_data","error":"parse error"}', "error message from a server"),
        (b"x,y,z\n1,2,3\n", "columns x, y, z"),
        (b"nonsense", "known forms"),
        (b'{"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,', "ends in the middle"),
        (b'{"data":{"resultType":"matrix","result":[{"values":[[1,"2"]]}]}}', "metric"),
        (b'{"data":{"resultType":"matrix","result":[]}}', "no service"),
        (b"[" * 200_000, "nested"),
        (b'{"resourceSpans":' + b"[" * 200_000, "nested"),
        (b"time,a_cpu\nyesterday,1\n", "ISO dates"),
        (b"PAR1" + b"\0" * 100, "Parquet"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_what_would_help(content, said, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(FirewatchError, match=said) as refused:
        read_evidence([path])
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e999"])
def test_numbers_beyond_all_floats_are_missing_or_refused(number, tmp_path):
    texts = {
        "table.csv": f"time,web_cpu\n{number},1\n{number},2\n",
        "scrape.prom": f'web_cpu_usage{{service="web"}} {number} {number}\n# EOF\n',
        "traces.json": json.dumps(json.loads(shop.jaeger())).replace("1000", number),
    }
    for path in written(tmp_path, texts):
        try:
            read_evidence([path])
        except FirewatchError as refused:
            assert "\n" not in str(refused)


TEXTS = [content for files in FORMS.values() for name, content in files.items() if "/" not in name]
SHORT = sorted(
    {text[:3000] for text in TEXTS} | {text[: len(text) // 2] for text in TEXTS if len(text) < 20_000}
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused_in_one_line_or_read(data, tmp_path):
    raw = bytearray(data.draw(st.sampled_from(SHORT)).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        change = data.draw(st.sampled_from([b"", b"\x00", b"9e999", b'"', b"null", b"-1", b"[", b"\xff"]))
        raw[at : at + data.draw(st.integers(0, 8))] = change
    path = tmp_path / "damaged"
    path.write_bytes(bytes(raw))
    try:
        read_evidence([path])
    except FirewatchError as refused:
        assert "\n" not in str(refused)
