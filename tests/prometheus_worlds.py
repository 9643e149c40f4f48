"""Telemetry of one small outage as each convention would have counted it: OpenMetrics for promtool.

web calls cart and users, cart calls stock. In the last ten minutes stock is slow and fails; whoever waits for
it is slow and fails too. Each convention has a namespace of its own.
"""

import math
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from testbed.debian import program

START_S, SCRAPE_S, POINTS, WINDOW_S = 1_780_000_000, 30, 100, 600
END_S = START_S + SCRAPE_S * (POINTS - 1)
CALLS = (("web", "cart"), ("web", "users"), ("cart", "stock"))
RATE = {"web": 20.0, "cart": 10.0, "users": 10.0, "stock": 10.0}
# Latency in seconds and error rate of a service: when healthy, and in the incident.
HEALTHY = {"web": (0.06, 0.002), "cart": (0.04, 0.002), "users": (0.03, 0.002), "stock": (0.02, 0.001)}
SICK = {"web": (0.6, 0.13), "cart": (1.1, 0.27), "users": (0.03, 0.002), "stock": (1.05, 0.28)}
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

Labels = Mapping[str, str]


def is_sick(index: int) -> bool:
    return START_S + index * SCRAPE_S > END_S - WINDOW_S


class Metrics:
    """OpenMetrics lines; all series share one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace, self.lines = namespace, dict[str, list[str]]()
        self.random = random.Random(namespace)

    def gauge(self, name: str, labels: Labels, value: Callable[[int], float]) -> None:
        text = ",".join(f'{key}="{one}"' for key, one in {"namespace": self.namespace, **labels}.items())
        self.lines.setdefault(name, []).extend(
            f"{name}{{{text}}} {value(i):.10g} {START_S + i * SCRAPE_S}" for i in range(POINTS)
        )

    def counter(self, name: str, labels: Labels, rate: Callable[[int], float]) -> None:
        total, values = 0.0, []
        for i in range(POINTS):
            total += rate(i) * SCRAPE_S * self.random.uniform(0.95, 1.05)
            values.append(total)
        self.gauge(name, labels, values.__getitem__)

    def histogram(
        self, name: str, labels: Labels, rate: Callable[[int], float], mean_s: Callable[[int], float],
        unit: float = 1.0, buckets: bool = True,
    ) -> None:  # fmt: skip
        count, summed, below = 0.0, 0.0, [0.0] * len(BOUNDS_S)
        rows: list[tuple[float, float, list[float]]] = []
        for i in range(POINTS):
            new, mean = rate(i) * SCRAPE_S, mean_s(i) * self.random.uniform(0.95, 1.05)
            count, summed = count + new, summed + new * mean * unit
            below = [old + new * _below(bound / mean) for old, bound in zip(below, BOUNDS_S, strict=True)]
            rows.append((count, summed, below))
        self.gauge(f"{name}_count", labels, lambda i: rows[i][0])
        self.gauge(f"{name}_sum", labels, lambda i: rows[i][1])
        if buckets:
            for place, bound in enumerate(BOUNDS_S):
                self.gauge(
                    f"{name}_bucket", {**labels, "le": f"{bound * unit:g}"}, lambda i, p=place: rows[i][2][p]
                )
            self.gauge(f"{name}_bucket", {**labels, "le": "+Inf"}, lambda i: rows[i][0])


def _below(ratio: float) -> float:
    """The share of lognormal durations below this multiple of their mean."""
    return 0.5 * (1 + math.erf((math.log(ratio) + 0.125) / (0.5 * math.sqrt(2))))


def _mean(service: str) -> Callable[[int], float]:
    return lambda i: (SICK if is_sick(i) else HEALTHY)[service][0]


def _rate(service: str, failing: bool | None = None, share: float = 1.0) -> Callable[[int], float]:
    def rate(i: int) -> float:
        failed = (SICK if is_sick(i) else HEALTHY)[service][1]
        return RATE[service] * share * (1.0 if failing is None else failed if failing else 1.0 - failed)

    return rate


def _outcomes(
    service: str, label: str, good: str, bad: str
) -> Iterator[tuple[dict[str, str], Callable[[int], float]]]:
    yield {label: good}, _rate(service, failing=False)
    yield {label: bad}, _rate(service, failing=True)


def _service_graph(m: Metrics) -> None:
    for client, server in (*CALLS, ("user", "web")):
        pair = {
            "client": client,
            "server": server,
            "connection_type": "virtual_node" if client == "user" else "",
        }
        m.counter("traces_service_graph_request_total", pair, _rate(server))
        m.counter("traces_service_graph_request_failed_total", pair, _rate(server, failing=True))
        mean = _mean(server)
        m.histogram("traces_service_graph_request_server_seconds", pair, _rate(server), mean)
        m.histogram(
            "traces_service_graph_request_client_seconds",
            pair,
            _rate(server),
            lambda i, mean=mean: mean(i) + 0.001,
        )


def collector(m: Metrics) -> None:
    """Span metrics and service graph of the OpenTelemetry Collector from 0.109 on."""
    for service in RATE:
        own = {"service_name": service, "span_kind": "SPAN_KIND_SERVER"}
        for code, rate in _outcomes(service, "status_code", "STATUS_CODE_UNSET", "STATUS_CODE_ERROR"):
            m.counter("traces_span_metrics_calls_total", {**own, **code}, rate)
        m.histogram("traces_span_metrics_duration_milliseconds", own, _rate(service), _mean(service), 1000)
    _service_graph(m)


def older_collector(m: Metrics) -> None:
    """The same without a prefix, and with the newer status label."""
    for service in RATE:
        own = {"service_name": service, "span_kind": "SPAN_KIND_SERVER"}
        for code, rate in _outcomes(service, "otel_status_code", "OK", "ERROR"):
            m.counter("calls_total", {**own, **code}, rate)
        m.histogram("duration_seconds", own, _rate(service), _mean(service))
    _service_graph(m)


def tempo(m: Metrics) -> None:
    for service in RATE:
        own = {"service": service, "span_kind": "SPAN_KIND_SERVER"}
        for code, rate in _outcomes(service, "status_code", "STATUS_CODE_UNSET", "STATUS_CODE_ERROR"):
            m.counter("traces_spanmetrics_calls_total", {**own, **code}, rate)
        m.histogram("traces_spanmetrics_latency", own, _rate(service), _mean(service))
    _service_graph(m)


def istio(m: Metrics) -> None:
    for source, target in (*CALLS, ("unknown", "web")):
        for reporter in ("source", "destination"):
            pair = {
                "reporter": reporter, "source_workload": f"{source}-v1", "source_canonical_service": source,
                "destination_service_name": target, "destination_workload": f"{target}-v1",
            }  # fmt: skip
            for code, rate in _outcomes(target, "response_code", "200", "503"):
                m.counter("istio_requests_total", {**pair, **code}, rate)
            m.histogram("istio_request_duration_milliseconds", pair, _rate(target), _mean(target), 1000)
    for source, target in CALLS:
        pair = {"reporter": "source", "source_workload": source, "source_canonical_service": source}
        pair |= {"destination_service_name": target, "destination_workload": target}
        m.counter("istio_tcp_connections_opened_total", pair, lambda i: 1.0)


def linkerd(m: Metrics) -> None:
    for service in RATE:
        own = {"direction": "inbound", "deployment": service}
        for code, rate in _outcomes(service, "classification", "success", "failure"):
            m.counter("response_total", {**own, **code}, rate)
        m.histogram("response_latency_ms", own, _rate(service), _mean(service), 1000)
    for caller, callee in CALLS:
        own = {"direction": "outbound", "deployment": caller, "dst_deployment": callee}
        for code, rate in _outcomes(callee, "classification", "success", "failure"):
            m.counter("response_total", {**own, **code}, rate)
        m.histogram("response_latency_ms", own, _rate(callee), _mean(callee), 1000)


def hubble(m: Metrics) -> None:
    for source, target in CALLS:
        for reporter in ("client", "server"):
            pair = {"reporter": reporter, "source_workload": source, "destination_workload": target}
            for code, rate in _outcomes(target, "status", "200", "500"):
                m.counter("hubble_http_requests_total", {**pair, **code}, rate)
            m.histogram("hubble_http_request_duration_seconds", pair, _rate(target), _mean(target))


def semconv(m: Metrics) -> None:
    """OpenTelemetry HTTP metrics of the services; only callers measure stock, a database."""
    for service in ("web", "cart", "users"):
        own = {"job": f"shop/{service}", "instance": f"10.0.0.{len(service)}:8080"}
        for code, rate in _outcomes(service, "http_response_status_code", "200", "500"):
            m.histogram("http_server_request_duration_seconds", {**own, **code}, rate, _mean(service))
    for caller, callee in CALLS[:2]:
        own = {"job": f"shop/{caller}", "server_address": f"{callee}.shop.svc.cluster.local"}
        for code, rate in _outcomes(callee, "error_type", "", "500"):
            m.histogram("http_client_request_duration_seconds", {**own, **code}, rate, _mean(callee))
    own = {"job": "shop/cart", "server_address": "stock", "db_system_name": "postgresql"}
    for code, rate in _outcomes("stock", "error_type", "", "timeout"):
        m.histogram("db_client_operation_duration_seconds", {**own, **code}, rate, _mean("stock"))


def rpc(m: Metrics) -> None:
    """OpenTelemetry gRPC metrics; some calls to stock fail before stock sees them."""
    for service in RATE:
        for code, rate in _outcomes(service, "rpc_grpc_status_code", "0", "13"):
            if service == "stock" and code["rpc_grpc_status_code"] == "13":
                continue
            own = {"service_name": service, **code}
            m.histogram("rpc_server_duration_milliseconds", own, rate, _mean(service), 1000)
    for caller, callee in CALLS:
        bad = "14" if callee == "stock" else "13"
        for code, rate in _outcomes(callee, "rpc_grpc_status_code", "0", bad):
            own = {"service_name": caller, "server_address": callee, **code}
            m.histogram("rpc_client_duration_milliseconds", own, rate, _mean(callee), 1000)


def beyla(m: Metrics) -> None:
    """Beyla and OBI: the same names, measured from outside, and bytes sent per pair of services."""
    for service in RATE:
        own = {"service_name": service, "k8s_pod_name": f"{service}-7d9f8b6c5-x2x4z"}
        for code, rate in _outcomes(service, "http_response_status_code", "200", "500"):
            m.histogram("http_server_request_duration_seconds", {**own, **code}, rate, _mean(service))
    for caller, callee in CALLS:
        pair = {"k8s_src_owner_name": caller, "k8s_dst_owner_name": callee}
        m.counter("beyla_network_flow_bytes_total", pair, lambda i, callee=callee: 900 * RATE[callee])


def micrometer(m: Metrics) -> None:
    """Spring Boot's defaults: without buckets."""
    for service in RATE:
        for code, rate in _outcomes(service, "outcome", "SUCCESS", "SERVER_ERROR"):
            own = {"application": service, "job": "spring", **code}
            m.histogram("http_server_requests_seconds", own, rate, _mean(service), buckets=False)
    for caller, callee in CALLS:
        for code, rate in _outcomes(callee, "outcome", "SUCCESS", "SERVER_ERROR"):
            own = {"application": caller, "job": "spring", "client_name": callee, **code}
            m.histogram("http_client_requests_seconds", own, rate, _mean(callee), buckets=False)


def plain(m: Metrics) -> None:
    """Hand-written counters, and a service graph from another source."""
    for service in RATE:
        for code, rate in _outcomes(service, "code", "200", "500"):
            m.counter("http_requests_total", {"job": service, **code}, rate)
        m.histogram("http_request_duration_seconds", {"job": service}, _rate(service), _mean(service))
    _service_graph(m)


def kubernetes(m: Metrics) -> None:
    """No requests, only containers and Kubernetes state; a deployment of stock fails."""
    for service in RATE:
        pod, replicaset = f"{service}-7d9f8b6c5-x2x4z", f"{service}-7d9f8b6c5"
        sick = service == "stock"
        own = {"pod": pod, "container": "app", "job": "kubelet"}
        m.counter(
            "container_cpu_usage_seconds_total",
            own,
            lambda i, sick=sick: 0.95 if sick and is_sick(i) else 0.2,
        )
        m.counter(
            "container_cpu_cfs_throttled_periods_total",
            own,
            lambda i, sick=sick: 8 if sick and is_sick(i) else 0.1,
        )
        m.counter("container_cpu_cfs_periods_total", own, lambda i: 10)
        m.gauge(
            "container_memory_working_set_bytes",
            own,
            lambda i, sick=sick: 9e8 if sick and is_sick(i) else 3e8 + i,
        )
        m.gauge("container_spec_memory_limit_bytes", own, lambda i, sick=sick: 1e9 if sick else 0)
        state = {"pod": pod, "container": "app", "job": "kube-state-metrics"}
        m.gauge(
            "kube_pod_container_status_restarts_total", state,
            lambda i, sick=sick: max(0, i - 80) // 4 if sick else 0,
        )  # fmt: skip
        owner = {"owner_kind": "ReplicaSet", "owner_name": replicaset, "job": "kube-state-metrics"}
        if service == "users":  # only a rule of Prometheus tells
            recorded = "namespace_workload_pod:kube_pod_owner:relabel"
            m.gauge(recorded, {"pod": pod, "workload": service}, lambda i: 1)
        else:
            m.gauge("kube_pod_owner", {"pod": pod, **owner}, lambda i: 1)
        if sick:
            reason = {**state, "reason": "OOMKilled"}
            m.gauge(
                "kube_pod_container_status_last_terminated_reason", reason,
                lambda i: 1 if is_sick(i) else math.nan,
            )  # fmt: skip
        owner = {"owner_kind": "Deployment", "owner_name": service, "job": "kube-state-metrics"}
        m.gauge("kube_replicaset_owner", {"replicaset": replicaset, **owner}, lambda i: 1)
        of = {"deployment": service, "job": "kube-state-metrics"}
        m.gauge("kube_deployment_spec_replicas", of, lambda i: 1)
        m.gauge(
            "kube_deployment_status_replicas_available",
            of,
            lambda i, sick=sick: 0 if sick and is_sick(i) else 1,
        )
        m.gauge(
            "kube_deployment_status_observed_generation",
            of,
            lambda i, sick=sick: 4 if sick and is_sick(i) else 3,
        )


def targets(m: Metrics) -> None:
    """Only scrape health and alerts: one alert fires every day, the other does not."""
    for service in RATE:
        own = {"job": service, "instance": f"10.0.0.{len(service)}:80"}
        m.gauge("up", own, lambda i, service=service: 0 if service == "stock" and is_sick(i) else 1)
        alert = {"alertname": "DiskAlmostFull", "alertstate": "firing", "job": service}
        if service == "users":
            m.gauge("ALERTS", alert, lambda i: 1)
    alert = {"alertname": "StockDown", "alertstate": "firing", "job": "stock"}
    m.gauge("ALERTS", alert, lambda i: 1 if is_sick(i) else math.nan)


WORLDS = (
    collector, older_collector, tempo, istio, linkerd, hubble, semconv, rpc, beyla, micrometer, plain,
    kubernetes, targets,
)  # fmt: skip


def make_blocks(folder: Path) -> None:
    """Writes all worlds as Prometheus blocks."""
    lines: dict[str, list[str]] = {}
    for world in WORLDS:
        metrics = Metrics(world.__name__.replace("_", "-"))
        world(metrics)
        for name, more in metrics.lines.items():
            lines.setdefault(name, []).extend(more)
    file = folder / "all.om"
    file.write_text(
        "\n".join(line for of in lines.values() for line in of if " nan " not in line) + "\n# EOF\n"
    )
    promtool = program("promtool", "prometheus")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", file, folder / "data"],
        check=True,
        capture_output=True,
    )
