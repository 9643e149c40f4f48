"""A shop with one sick service, told in every form that telemetry comes in."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

START, STEP, POINTS, BAD_FROM = 1_700_000_000, 15, 80, 60
CALLS = [
    ("web", "cart"),
    ("web", "catalog"),
    ("web", "payment"),
    ("cart", "db"),
    ("catalog", "db"),
    ("payment", "bank"),
]
SERVICES = ["web", "cart", "catalog", "payment", "db", "bank"]
CULPRIT = "payment"
# Slowdown factor and error rate of each service during the incident.
SLOWER = {"payment": 20.0, "web": 6.0}
FAILING = {"payment": 0.3, "web": 0.1}
USUAL_S = {"web": 0.12, "cart": 0.03, "catalog": 0.03, "payment": 0.05, "db": 0.005, "bank": 0.01}
RATE = {"web": 20.0, "cart": 10.0, "catalog": 15.0, "payment": 5.0, "db": 25.0, "bank": 5.0}
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

times = START + STEP * np.arange(POINTS)


def bad(index: int) -> bool:
    return index >= BAD_FROM


def latency_s(service: str, index: int) -> float:
    wobble = 1 + 0.05 * np.sin(index * 1.7 + len(service))
    return USUAL_S[service] * wobble * (SLOWER.get(service, 1.0) if bad(index) else 1.0)


def error_rate(service: str, index: int) -> float:
    return 0.001 + (FAILING.get(service, 0.0) if bad(index) else 0.0)


class Counters:
    """Counters of one service over time: requests, failures, seconds, and requests below each bound."""

    def __init__(self, service: str) -> None:
        rate, failed, seconds = [], [], []
        buckets: dict[float, list[float]] = {bound: [] for bound in BOUNDS}
        for index in range(POINTS):
            n = RATE[service] * STEP
            rate.append(n)
            failed.append(n * error_rate(service, index))
            seconds.append(n * latency_s(service, index))
            for bound in BOUNDS:  # exponential durations
                buckets[bound].append(n * (1 - np.exp(-bound / latency_s(service, index))))
        self.all, self.failed, self.seconds = np.cumsum(rate), np.cumsum(failed), np.cumsum(seconds)
        self.ok = self.all - self.failed
        self.buckets = {bound: np.cumsum(values) for bound, values in buckets.items()} | {np.inf: self.all}


def spans() -> Iterator[dict[str, Any]]:
    """All spans of two traces per point of time."""
    for index in range(POINTS):
        for repetition in range(2):
            trace = f"{index:016x}{repetition:016x}"
            yield from _below("web", index, trace, "", float(times[index]) + repetition)


def _below(service: str, index: int, trace: str, parent: str, start: float) -> Iterator[dict[str, Any]]:
    span = f"{abs(hash((trace, parent, service))) % 2**63:016x}"
    own = {
        "trace": trace, "id": span, "parent": parent, "service": service, "kind": "server", "start": start,
        "seconds": latency_s(service, index), "name": f"GET /{service}",
        "error": bad(index) and service in FAILING,
    }  # fmt: skip
    yield own
    for caller, callee in CALLS:
        if caller == service:
            client = f"{abs(hash((trace, span, callee))) % 2**63:016x}"
            yield {
                **own, "id": client, "parent": span, "kind": "client", "name": f"call {callee}",
                "seconds": latency_s(callee, index) + 0.001, "error": bad(index) and callee in FAILING,
            }  # fmt: skip
            yield from _below(callee, index, trace, client, start + 0.0005)


def series(name: str, labels: dict[str, str], values: Any) -> dict[str, Any]:
    return {
        "metric": {"__name__": name, **labels},
        "values": [[float(t), f"{v:.6f}"] for t, v in zip(times, values, strict=True)],
    }


def matrix(all_series: list[dict[str, Any]]) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": all_series}})


def histogram(name: str, labels: dict[str, str], c: Counters, factor: float = 1.0) -> list[dict[str, Any]]:
    return [
        *(
            series(f"{name}_bucket", {**labels, "le": f"{bound * factor:g}".replace("inf", "+Inf")}, values)
            for bound, values in c.buckets.items()
        ),
        series(f"{name}_sum", labels, c.seconds * factor),
        series(f"{name}_count", labels, c.all),
    ]


def span_metrics() -> list[dict[str, Any]]:
    """The metrics that OpenTelemetry's Collector derives from these spans."""
    found = []
    for service in SERVICES:
        c, labels = Counters(service), {"service_name": service, "span_kind": "SPAN_KIND_SERVER"}
        name = "traces_span_metrics_calls_total"
        found.append(series(name, {**labels, "status_code": "STATUS_CODE_UNSET"}, c.ok))
        found.append(series(name, {**labels, "status_code": "STATUS_CODE_ERROR"}, c.failed))
        found += histogram("traces_span_metrics_duration_milliseconds", labels, c, 1000.0)
    for caller, callee in CALLS:
        c, labels = Counters(callee), {"client": caller, "server": callee, "connection_type": ""}
        found.append(series("traces_service_graph_request_total", labels, c.all))
        found.append(series("traces_service_graph_request_failed_total", labels, c.failed))
        for side in ("client", "server"):
            found += histogram(f"traces_service_graph_request_{side}_seconds", labels, c)
    return found


def edges_csv() -> str:
    return "caller,callee\n" + "".join(f"{caller},{callee}\n" for caller, callee in CALLS)


def jaeger() -> str:
    traces: dict[str, Any] = {}
    for s in spans():
        trace = traces.setdefault(s["trace"], {"traceID": s["trace"], "spans": [], "processes": {}})
        trace["processes"][f"p-{s['service']}"] = {"serviceName": s["service"], "tags": []}
        tags = [{"key": "span.kind", "type": "string", "value": s["kind"]}]
        tags += [{"key": "error", "type": "bool", "value": True}] if s["error"] else []
        parent = {"refType": "CHILD_OF", "traceID": s["trace"], "spanID": s["parent"]}
        trace["spans"].append({
            "traceID": s["trace"], "spanID": s["id"], "operationName": s["name"],
            "references": [parent] if s["parent"] else [],
            "startTime": int(s["start"] * 1e6), "duration": int(s["seconds"] * 1e6), "tags": tags, "logs": [],
            "processID": f"p-{s['service']}", "warnings": None,
        })  # fmt: skip
    return json.dumps({"data": list(traces.values()), "total": 0, "limit": 0, "offset": 0, "errors": None})


def zipkin() -> str:
    found = []
    for s in spans():
        found.append({
            "traceId": s["trace"], "id": s["id"], "kind": s["kind"].upper(), "name": s["name"],
            "timestamp": int(s["start"] * 1e6), "duration": int(s["seconds"] * 1e6),
            "localEndpoint": {"serviceName": s["service"]}, "tags": {"error": ""} if s["error"] else {},
            **({"parentId": s["parent"]} if s["parent"] else {}),
        })  # fmt: skip
    return json.dumps([found])


def otlp_batches() -> list[dict[str, Any]]:
    found = []
    for s in spans():
        start = int(s["start"] * 1e9)
        span = {
            "traceId": s["trace"], "spanId": s["id"], "parentSpanId": s["parent"], "name": s["name"],
            "kind": {"server": 2, "client": 3}[s["kind"]], "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(start + int(s["seconds"] * 1e9)), "attributes": [],
            "status": {"code": 2} if s["error"] else {},
        }  # fmt: skip
        attributes = [{"key": "service.name", "value": {"stringValue": s["service"]}}]
        found.append({"resource": {"attributes": attributes}, "scopeSpans": [{"scope": {}, "spans": [span]}]})
    return found


def otlp_metrics_lines() -> str:
    lines = []
    counters = {service: Counters(service) for service in SERVICES}
    for index in range(POINTS):
        batches = []
        for service, c in counters.items():
            at = str(int(times[index]) * 10**9)
            counts = np.diff([c.buckets[b][index] for b in (*BOUNDS, np.inf)], prepend=0.0)
            points = [{
                "timeUnixNano": at, "count": str(int(c.all[index])), "sum": c.seconds[index],
                "bucketCounts": [str(int(n)) for n in counts], "explicitBounds": list(BOUNDS),
            }]  # fmt: skip
            batches.append({
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeMetrics": [{"metrics": [{
                    "name": "http.server.request.duration", "unit": "s",
                    "histogram": {"aggregationTemporality": 2, "dataPoints": points},
                }]}],
            })  # fmt: skip
        lines.append(json.dumps({"resourceMetrics": batches}))
    return "\n".join(lines) + "\n"


def otlp_logs_lines() -> str:
    lines = []
    for index in range(POINTS):
        for service in SERVICES:
            n_bad = 8 if bad(index) and service == CULPRIT else 0
            records = [
                {"timeUnixNano": str(int(times[index]) * 10**9 + i), "severityNumber": 17 if i < n_bad else 9}
                for i in range(10)
            ]
            resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
            lines.append(
                json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]})
            )
    return "\n".join(lines)


def json_logs() -> str:
    lines = [
        {"@timestamp": int(times[index]) + i, "service": {"name": service}, "level": level, "msg": "no error"}
        for index in range(POINTS)
        for service in SERVICES
        for i in range(4)
        for level in ["error" if bad(index) and service == CULPRIT and i else "info"]
    ]
    return "\n".join(map(json.dumps, lines)) + "\n"


def alert(service: str, name: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, "service": service, "severity": "critical"}, "annotations": {}}


def table(form: Callable[[list[tuple[int, str, str, float]]], str]) -> str:
    rows = [
        (int(times[index]), service, metric, value(service, index))
        for index in range(POINTS)
        for service in SERVICES
        for metric, value in (("latency_p99_s", latency_s), ("error_rate", error_rate))
    ]
    return form(rows)


def long(rows: list[tuple[int, str, str, float]], separator: str = ",") -> str:
    lines = [("time", "service", "metric", "value"), *rows]
    return "\n".join(separator.join(map(str, line)) for line in lines) + "\n"


def tidy(rows: list[tuple[int, str, str, float]]) -> str:
    """A metric per column, with a text that is none."""
    told = pd.DataFrame(rows, columns=["timestamp", "service", "metric", "value"]).assign(zone="eu-1")
    return told.pivot(index=["timestamp", "service", "zone"], columns="metric", values="value").to_csv()


def wide(rows: list[tuple[int, str, str, float]], separator: str = ",") -> str:
    columns = list(dict.fromkeys(f"{service}_{metric}" for _, service, metric, _ in rows))
    by_time: dict[int, dict[str, float]] = {}
    for time, service, metric, value in rows:
        by_time.setdefault(time, {})[f"{service}_{metric}"] = value
    lines = [["time", *columns], *([time, *(row[c] for c in columns)] for time, row in by_time.items())]
    return "\n".join(separator.join(map(str, line)) for line in lines) + "\n"
