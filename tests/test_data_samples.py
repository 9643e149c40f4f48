"""Metrics of every usual instrumentation tell of services and calls, whatever they are called there."""

import json

import numpy as np
import pytest
import shop_telemetry as shop

from data.incident import AlertEvent
from data.sources.files.reading import read_evidence
from gnn.registry import make_ranker

ISTIO = "istio_request_duration_milliseconds"
ENDS = {"source_workload": "web", "destination_service_name": "payment"}
ASKED = {"service_name": "web", "server_address": "payment"}
SERVER_SPAN = {"span_kind": "SPAN_KIND_SERVER"}
SERVED = {
    "Tempo": ("traces_spanmetrics_calls_total", "traces_spanmetrics_latency",
              SERVER_SPAN, "service",
              ("status_code", "STATUS_CODE_ERROR", "STATUS_CODE_UNSET")),
    "span metrics with a prefix": ("shop_calls_total", "shop_duration_milliseconds",
              SERVER_SPAN, "service.name", ("otel_status_code", "ERROR", "")),
    "Istio": ("istio_requests_total", ISTIO, {"reporter": "destination"},
              "destination_service_name", ("response_code", "503", "200")),
    "Linkerd": ("response_total", "response_latency_ms", {"direction": "inbound"}, "deployment",
                ("classification", "failure", "success")),
    "Hubble": ("hubble_http_requests_total", "hubble_http_request_duration_seconds", {"reporter": "server"},
               "destination_workload", ("status", "500", "200")),
    "plain": ("http_requests_total", "http_request_duration_seconds", {}, "job", ("code", "500", "200")),
    "gRPC": ("grpc_server_handled_total", "grpc_server_handling_seconds", {}, "service",
             ("grpc_code", "Internal", "OK")),
}  # fmt: skip
# Their histogram's count has the status as a label.
COUNTED = {
    "OTel HTTP": (
        "http.server.request.duration_seconds",
        "service.name",
        ("http.response.status_code", "500", "200"),
    ),
    "OTel RPC": ("rpc_server_duration_milliseconds", "service_name", ("rpc_grpc_status_code", "14", "0")),
    "Micrometer": ("http_server_requests_seconds", "application", ("outcome", "SERVER_ERROR", "SUCCESS")),
}


def factor(name):
    return 1000.0 if name.endswith(("_milliseconds", "_ms")) else 1.0


def read(tmp_path, series, calls=True):
    (tmp_path / "prom.json").write_text(shop.matrix(series))
    (tmp_path / "calls.csv").write_text(shop.edges_csv())
    names = ("prom.json", "calls.csv") if calls else ("prom.json",)
    return read_evidence([tmp_path / name for name in names]).incidents[0]


def series_of(metric, labels, values):
    return shop.series(metric, labels, values)


@pytest.mark.parametrize("source", [*SERVED, *COUNTED])
def test_every_convention_tells_of_requests(source, tmp_path):
    found = []
    for service in shop.SERVICES:
        c = shop.Counters(service)
        if source in SERVED:
            total, duration, where, whose, (label, failed, ok) = SERVED[source]
            labels = {**where, whose: service}
            found += [shop.series(total, {**labels, label: failed}, c.failed)]
            found += [shop.series(total, {**labels, label: ok}, c.ok)]
            found += shop.histogram(duration, labels, c, factor(duration))
        else:
            duration, whose, (label, failed, ok) = COUNTED[source]
            labels = {whose: service}
            found += [shop.series(f"{duration}_count", {**labels, label: failed}, c.failed)]
            found += [shop.series(f"{duration}_count", {**labels, label: ok}, c.ok)]
            found += [
                one
                for one in shop.histogram(duration, {**labels, label: ok}, c, factor(duration))
                if not one["metric"]["__name__"].endswith("_count")
            ]
    incident = read(tmp_path, found)
    told = incident.telemetry["payment"]
    assert np.nanmedian(told["request_rate"].baseline) == pytest.approx(5.0, rel=0.01)
    assert np.nanmedian(told["error_rate"].incident) == pytest.approx(0.3, abs=0.02)
    assert np.nanmedian(told["error_rate"].baseline) == pytest.approx(0.001, abs=0.001)
    assert np.nanmedian(told["latency_p50_s"].baseline) == pytest.approx(0.05 * np.log(2), rel=0.3)
    assert make_ranker("gnn").rank(incident).candidates[0].service == shop.CULPRIT


@pytest.mark.parametrize(
    ("name", "labels", "side"),
    [
        (ISTIO, {"reporter": "source", **ENDS}, "caller"),
        (ISTIO, {"reporter": "destination", **ENDS}, "callee"),
        ("response_latency_ms",
         {"direction": "outbound", "deployment": "web", "dst_deployment": "payment"}, "caller"),
        ("http_client_request_duration_seconds", ASKED, "caller"),
        ("http_client_requests_seconds", {"application": "web", "client_name": "payment"}, "caller"),
        ("db_client_operation_duration_seconds", ASKED, "caller"),
    ],
)  # fmt: skip
def test_every_convention_tells_of_calls(name, labels, side, tmp_path):
    c = shop.Counters("payment")
    incident = read(tmp_path, shop.histogram(name, labels, c, factor(name)), calls=False)
    told = incident.call_telemetry["web", "payment"]
    assert np.nanmedian(told[f"latency_{side}_s"].baseline) == pytest.approx(0.05, rel=0.1)


def test_pods_count_for_their_workload_and_limits_that_are_not_set_for_nothing(tmp_path):
    ramp = np.where(np.arange(shop.POINTS) < shop.BAD_FROM, 1e8, 9e8)
    seconds = np.cumsum(np.where(np.arange(shop.POINTS) < shop.BAD_FROM, 1.5, 13.5))
    found = []
    for pod in ("payment-7d4b9c6f5d-x2x7k", "payment-7d4b9c6f5d-abcde", "db-0"):
        labels = {"pod": pod, "container": "main", "job": "kubelet"}
        found += [
            shop.series("container_memory_working_set_bytes", labels, ramp),
            shop.series("container_cpu_usage_seconds_total", labels, seconds),
            shop.series(
                "container_spec_memory_limit_bytes", labels, 0 * ramp + (1e9 if pod[0] == "p" else 0)
            ),
            shop.series("kube_pod_container_status_restarts_total", labels, np.arange(shop.POINTS)),
        ]
    for name, value in (("spec_replicas", 3), ("status_replicas_available", 1)):
        labels = {"deployment": "payment", "namespace": "shop"}
        found.append(shop.series(f"kube_deployment_{name}", labels, np.full(shop.POINTS, value)))
    generation = np.where(np.arange(shop.POINTS) < 70, 4, 5)
    found.append(shop.series("kube_deployment_status_observed_generation", labels, generation))
    alert = {
        "alertname": "PaymentDown",
        "alertstate": "firing",
        "deployment": "payment",
        "job": "kube-state-metrics",
    }
    found.append(shop.series("ALERTS", alert, np.ones(shop.POINTS)))
    found += shop.histogram("http_server_request_duration_seconds", {"app": "web"}, shop.Counters("web"))
    incident = read(tmp_path, found)
    told = incident.telemetry["payment"]
    assert told["memory_share"].incident[-1] == pytest.approx(0.9)
    assert "memory_share" not in incident.telemetry["db"]
    assert told["cpu_usage"].incident[-1] == pytest.approx(1.8, rel=0.01)
    assert told["replicas_missing"].incident[-1] == 2 and told["restarts"].incident[-1] == 2 * 79
    assert told["deploy_age_s"].incident[-1] == pytest.approx((shop.POINTS - 1 - 70) * shop.STEP)
    assert AlertEvent("payment", "metric", "PaymentDown") in incident.alerts
    assert "kubelet" not in incident.services and "kube-state-metrics" not in incident.services


def test_connections_that_break_are_calls_without_an_answer(tmp_path):
    base, asked = "http_client_request_duration_seconds_count", {"job": "web", "server_address": "bank"}
    c = shop.Counters("web")
    broken = np.where(np.arange(shop.POINTS) < shop.BAD_FROM, 0.0, 0.5 * (c.all - c.all[shop.BAD_FROM]))
    kinds = {"": c.all, "ECONNREFUSED": broken, "503": broken, "timeout": broken}
    series = [shop.series(base, {**asked, "error_type": kind}, values) for kind, values in kinds.items()]
    incident = read(tmp_path, series, calls=False)
    lost = incident.call_telemetry["web", "bank"]["unmatched_share"]
    assert np.nanmax(lost.baseline[:-2]) == 0.0 and np.nanmedian(lost.incident) == pytest.approx(
        0.2, abs=0.02
    )


def test_counters_that_begin_anew_are_no_rise(tmp_path):
    c = shop.Counters("web")
    again = np.where(np.arange(shop.POINTS) < 40, c.all, c.all - c.all[39])
    incident = read(tmp_path, [shop.series("http_requests_total", {"job": "web"}, again)], calls=False)
    rate = incident.telemetry["web"]["request_rate"]
    assert np.nanmax(np.r_[rate.baseline, rate.incident]) == pytest.approx(20.0, rel=0.01)


def test_the_layout_of_openrca_is_read(tmp_path):
    day = tmp_path / "Bank" / "telemetry" / "2023_11_15"
    (day / "metric").mkdir(parents=True)
    when = int(shop.times[shop.BAD_FROM])
    (tmp_path / "Bank" / "record.csv").write_text(
        f"level,component,timestamp,datetime,reason\npod,payment,{when},2023-11-15 06:28:20,high CPU usage\n"
    )
    rows = shop.table(shop.long).replace("time,service,metric", "timestamp,cmdb_id,kpi_name", 1)
    (day / "metric" / "metric_container.csv").write_text(rows)
    (day / "trace").mkdir()
    lines = ["timestamp,cmdb_id,parent_id,span_id,trace_id,duration"]
    lines += [
        f"{s['start'] * 1e3:.0f},{s['service']},{s['parent']},{s['id']},{s['trace']},{s['seconds'] * 1e3:.0f}"
        for s in shop.spans()
    ]
    (day / "trace" / "trace_span.csv").write_text("\n".join(lines) + "\n")
    (day / "log").mkdir()
    lines = ["log_id,timestamp,cmdb_id,log_name,value"]
    lines += [
        f"{i},{t:.0f},payment,app,{'connection refused: error' if i >= shop.BAD_FROM else 'GET / 200'}"
        for i, t in enumerate(shop.times)
    ]
    (day / "log" / "log_service.csv").write_text("\n".join(lines) + "\n")
    [incident] = read_evidence([tmp_path / "Bank"]).incidents
    logs = incident.telemetry["payment"]["log_err_count"]
    assert np.nanmax(logs.baseline) == 0 < np.nanmin(logs.incident)
    assert (incident.root_causes, incident.fault) == (("payment",), "high CPU usage")
    assert incident.start_s == when and incident.call_graph["web"]
    assert make_ranker("gnn").rank(incident).candidates[0].service == shop.CULPRIT
    assert json.dumps(incident.incident_id) == '"Bank/1"'
