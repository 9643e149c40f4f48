"""Telemetry of one incident in a shop, in every form that is read."""

import json
from typing import Any

import numpy as np
import shop_telemetry as shop

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
    "logs in JSON": {"app.log": shop.json_logs(), **EDGES},
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
