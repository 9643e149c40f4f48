"""How common instrumentations name requests, calls and resources; used for files and for live queries.

Names are regular expressions of whole metric names; dots count as underscores. Of several labels the first
that a metric has counts. OpenTelemetry's metrics: opentelemetry.io/docs/specs/semconv; Istio's, Linkerd's,
Hubble's and kube-state-metrics' as their projects document them.
"""

from dataclasses import dataclass
from typing import Literal

# What names a service, its replica, and its namespace, where a convention has no labels of its own for them.
SERVICE = (
    "service_name", "application", "app_kubernetes_io_name", "app", "k8s_deployment_name", "deployment",
    "statefulset", "daemonset", "exported_service", "service", "exported_job", "job", "container",
    "pod", "instance",
)  # fmt: skip
POD = ("pod", "k8s_pod_name", "pod_name", "exported_pod", "service_instance_id", "instance")
NAMESPACE = (
    "namespace", "k8s_namespace_name", "service_namespace", "destination_workload_namespace",
    "destination_service_namespace", "exported_namespace",
)  # fmt: skip

Match = tuple[str, str, str]  # label, operator, value, as in PromQL: ("status", "=~", "5..")


@dataclass(frozen=True)
class Requests:
    """How one instrumentation measures what is served (`service`) or called (`caller` and `callee`)."""

    name: str
    calls: str = ""  # a counter; "": the count of the histogram
    duration: str = ""  # a histogram or summary, without _bucket, _sum, _count
    where: tuple[Match, ...] = ()  # only these values count, for labels that a series has
    failing: tuple[Match, ...] = ()  # what is a failure, by the first label that a series has
    failed: str = ""  # a separate counter of failures
    unanswered: tuple[Match, ...] = ()  # what is a refused or broken connection; all must hold
    service: tuple[str, ...] = ()
    caller: tuple[str, ...] = ()
    callee: tuple[str, ...] = ()
    seen_by: Literal["caller", "callee"] = "callee"  # who measures the duration
    needs: tuple[str, ...] = ()  # required labels; without them it is another metric


@dataclass(frozen=True)
class Resource:
    """A metric of a service that does not depend on requests."""

    metric: str  # what it is recorded as
    name: str
    form: Literal["rate", "sum", "max", "min", "age"]  # age: seconds since the time that is its value
    over: str = ""  # another metric of the same form, of which it is a share
    minus: bool = False  # `over` minus it, rather than a share
    where: tuple[Match, ...] = ()
    service: tuple[str, ...] = ()


_IN_POD: tuple[Match, ...] = (("container", "!=", ""), ("container", "!=", "POD"))
_CONTAINER = ("pod", "pod_name", "container", "name")
_SERVER_ADDRESS = ("server_address", "net_peer_name", "http_host", "client_name")
_SOURCE = ("source_canonical_service", "source_app", "source_workload")
_DESTINATION = ("destination_service_name", "destination_canonical_service", "destination_workload")
_DEPLOYMENT = ("deployment", "statefulset", "daemonset", "app", "pod")
_MESH_STATUS: tuple[Match, ...] = (("response_code", "=~", "5..|0"),)
_HTTP_STATUS: tuple[Match, ...] = (
    ("http_response_status_code", "=~", "5.."),
    ("http_status_code", "=~", "5.."),
    ("outcome", "=", "SERVER_ERROR"),
    ("status_code", "=~", "5.."),
    ("status", "=~", "5.."),
    ("code", "=~", "5.."),
)
_CLIENT_STATUS: tuple[Match, ...] = (
    ("error_type", "!=", ""),
    ("exception", "!~", "None|none|"),
    *_HTTP_STATUS,
)
_GRPC_STATUS: tuple[Match, ...] = (
    ("rpc_grpc_status_code", "=~", "2|4|12|13|14|15"),
    (
        "rpc_response_status_code",
        "=~",
        "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS",
    ),
    ("grpc_code", "=~", "Unknown|DeadlineExceeded|Unimplemented|Internal|Unavailable|DataLoss"),
    ("error_type", "!=", ""),
)

# Errors that are neither a status nor a time-out nor a cancellation.
_NO_ANSWER: tuple[Match, ...] = (
    ("error_type", "!~", "|[1-5]..|_OTHER|.*[tT]ime.?[oO]ut.*|.*[dD]eadline.*|.*[cC]ancel.*"),
)
_BROKEN_OFF: tuple[Match, ...] = (
    ("exception", "=~", "(?:Connect|Socket|NoRouteToHost|UnknownHost|ClosedChannel|PrematureClose).*"),
    ("exception", "!~", ".*Timeout.*"),
)

# Durations in milliseconds, by their name; all others are in seconds.
MILLISECONDS = r".*_(?:milliseconds|ms)|(?:http|rpc)_(?:server|client)_duration"
# Labels that name the workload, for queries by workload.
WORKLOAD = r".*(?:workload|deployment|statefulset|daemonset|owner_name).*"

# Requests served. The first convention with data about a service counts.
SERVED = (
    Requests(
        "span metrics",  # of the OpenTelemetry Collector with any prefix, of Tempo's generator, of older ones
        calls=r"(?:.+_)?calls_total",
        duration=r"(?:.+_)?(?:duration_seconds|duration_milliseconds|latency|duration)",
        where=(("span_kind", "=~", "SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"),),
        failing=(("otel_status_code", "=", "ERROR"), ("status_code", "=", "STATUS_CODE_ERROR")),
        service=("service_name", "service"),
        needs=("span_kind",),
    ),
    Requests(
        "Istio", calls="istio_requests_total", duration="istio_request_duration_milliseconds",
        where=(("reporter", "=", "destination"),), failing=_MESH_STATUS,
        service=_DESTINATION,
    ),
    Requests(
        "Linkerd", calls="response_total", duration="response_latency_ms",
        where=(("direction", "=", "inbound"),), failing=(("classification", "=", "failure"),),
        service=_DEPLOYMENT, needs=("direction",),
    ),
    Requests(
        "Hubble", calls="hubble_http_requests_total", duration="hubble_http_request_duration_seconds",
        where=(("reporter", "=", "server"),), failing=_HTTP_STATUS,
        service=("destination_workload", "destination_app", "destination"),
    ),
    Requests(
        "HTTP", duration="http_server_request_duration_seconds|http_server_duration(?:_milliseconds)?",
        failing=_HTTP_STATUS, service=SERVICE,
    ),
    Requests(
        "RPC", duration="rpc_server_(?:call_)?duration(?:_seconds|_milliseconds)?",
        failing=_GRPC_STATUS, service=SERVICE,
    ),
    Requests("Micrometer", duration="http_server_requests_seconds", failing=_HTTP_STATUS, service=SERVICE),
    Requests(
        "gRPC", calls="grpc_server_handled_total", duration="grpc_server_handling_seconds",
        failing=_GRPC_STATUS, service=SERVICE,
    ),
    Requests(
        "plain HTTP", calls="http_requests_total", duration="http_requests?_duration_seconds",
        failing=_HTTP_STATUS, service=SERVICE,
    ),
)  # fmt: skip

# Calls between services. Two conventions may describe one call: its caller's view and its callee's.
CALLED = (
    Requests(
        "service graph", calls=r"(?:.+_)?service_graph_request_total",
        duration=r"(?:.+_)?service_graph_request_client(?:_seconds)?",
        failed=r"(?:.+_)?service_graph_request_failed_total", caller=("client",), callee=("server",),
        seen_by="caller",
    ),
    Requests(
        "service graph, callee's view", duration=r"(?:.+_)?service_graph_request_server(?:_seconds)?",
        caller=("client",), callee=("server",),
    ),
    Requests(
        "Istio calls", calls="istio_requests_total", duration="istio_request_duration_milliseconds",
        where=(("reporter", "=", "source"),), failing=_MESH_STATUS,
        unanswered=(("response_flags", "=~", "U[FCHR].*|LR|NC"),),
        caller=_SOURCE,
        callee=_DESTINATION,
        seen_by="caller",
    ),
    Requests(
        "Istio calls, callee's view", duration="istio_request_duration_milliseconds",
        where=(("reporter", "=", "destination"),),
        caller=_SOURCE,
        callee=_DESTINATION,
    ),
    Requests(
        "Istio TCP", calls="istio_tcp_connections_opened_total", where=(("reporter", "=", "source"),),
        caller=_SOURCE,
        callee=_DESTINATION,
    ),
    Requests(
        "Linkerd calls", calls="response_total", duration="response_latency_ms",
        where=(("direction", "=", "outbound"),), failing=(("classification", "=", "failure"),),
        caller=_DEPLOYMENT, callee=("dst_deployment", "dst_statefulset", "dst_daemonset", "dst_service"),
        seen_by="caller", needs=("direction",),
    ),
    Requests(
        "Hubble calls", calls="hubble_http_requests_total",
        duration="hubble_http_request_duration_seconds", where=(("reporter", "=", "client"),),
        failing=_HTTP_STATUS, caller=("source_workload", "source_app", "source"),
        callee=("destination_workload", "destination_app", "destination"), seen_by="caller",
    ),
    Requests(
        "HTTP calls", duration="http_client_request_duration_seconds|http_client_duration(?:_milliseconds)?",
        failing=_CLIENT_STATUS, unanswered=_NO_ANSWER, caller=SERVICE, callee=_SERVER_ADDRESS,
        seen_by="caller",
    ),
    Requests(
        "database calls", duration="db_client_operation_duration_seconds", failing=_CLIENT_STATUS,
        unanswered=_NO_ANSWER, caller=SERVICE,
        callee=(*_SERVER_ADDRESS, "db_namespace", "db_system_name", "db_system"), seen_by="caller",
    ),
    Requests(
        "RPC calls", duration="rpc_client_(?:call_)?duration(?:_seconds|_milliseconds)?",
        failing=_GRPC_STATUS, unanswered=(("rpc_grpc_status_code", "=", "14"),), caller=SERVICE,
        callee=(*_SERVER_ADDRESS, "rpc_service"), seen_by="caller",
    ),
    Requests(
        "Micrometer calls", duration="http_client_requests_seconds", failing=_CLIENT_STATUS,
        unanswered=_BROKEN_OFF, caller=SERVICE, callee=_SERVER_ADDRESS, seen_by="caller",
    ),
    Requests(
        "network flows", calls="(?:beyla|obi)_network_flow_bytes_total",
        caller=("k8s_src_owner_name", "src_name"), callee=("k8s_dst_owner_name", "dst_name"),
    ),
)  # fmt: skip

# Other metrics. Of several rows for one metric, the first that exists counts.
RESOURCES = (
    Resource("cpu_usage", "container_cpu_usage_seconds_total", "rate", where=_IN_POD, service=_CONTAINER),
    Resource("cpu_usage", "process_cpu_(?:seconds|time)_total", "rate", service=SERVICE),
    Resource(
        "cpu_throttled_share", "container_cpu_cfs_throttled_periods_total", "rate",
        over="container_cpu_cfs_periods_total", where=_IN_POD, service=_CONTAINER,
    ),
    Resource("memory_bytes", "container_memory_working_set_bytes", "max", where=_IN_POD, service=_CONTAINER),
    Resource("memory_bytes", "process_(?:resident_memory|memory_usage)_bytes", "max", service=SERVICE),
    Resource(
        "memory_share", "container_memory_working_set_bytes", "max", over="container_spec_memory_limit_bytes",
        where=_IN_POD, service=_CONTAINER,
    ),
    Resource("network_receive_bytes", "container_network_receive_bytes_total", "rate", service=_CONTAINER),
    Resource("network_transmit_bytes", "container_network_transmit_bytes_total", "rate", service=_CONTAINER),
    Resource(
        "network_receive_dropped_packets", "container_network_receive_packets_dropped_total", "rate",
        service=_CONTAINER,
    ),
    Resource(
        "network_transmit_dropped_packets", "container_network_transmit_packets_dropped_total", "rate",
        service=_CONTAINER,
    ),
    Resource("restarts", "kube_pod_container_status_restarts_total", "sum", service=("pod", "container")),
    Resource(
        "oom_killed", "kube_pod_container_status_last_terminated_reason", "max",
        where=(("reason", "=", "OOMKilled"),), service=("pod", "container"),
    ),
    Resource(
        "replicas_missing", "kube_deployment_status_replicas_available", "sum",
        over="kube_deployment_spec_replicas", minus=True, service=("deployment",),
    ),
    Resource(
        "replicas_missing", "kube_statefulset_status_replicas_ready", "sum",
        over="kube_statefulset_replicas", minus=True, service=("statefulset",),
    ),
    Resource("uptime_s", "process_start_time_seconds", "age", service=SERVICE),
    Resource("up", "up", "min", service=SERVICE),
)  # fmt: skip

# A number that grows with each change of what runs; scaling alone moves both.
GENERATION, SCALE = "kube_deployment_status_observed_generation", "kube_deployment_spec_replicas"
# Metrics with versions in their labels; a new version is a deployment.
VERSIONS = (
    ("target_info", ("service_version",)),
    ("kube_pod_container_info", ("image",)),
    ("(?:.+_)?build_info", ("version", "revision")),
)
# Monitoring itself is not a suspect.
INFRASTRUCTURE = (
    r"prometheus|alertmanager|grafana|node-?exporter|kubelet|kube-state-metrics|c?advisor|otel-?col\S*|jaeger|tempo|"
    r"loki|apiserver|kubernetes-(?:apiservers|nodes|pods|cadvisor|service-endpoints)|pushgateway|blackbox\S*"
)
