"""Metric names and units of various monitoring systems."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric as a system names it: `value = offset + factor × signal`."""

    name: str
    signal: str
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class MetricNaming:
    """The metrics of one monitoring system."""

    name: str
    metrics: tuple[Metric, ...]


def _of(
    name: str, *metrics: tuple[str, str] | tuple[str, str, float] | tuple[str, str, float, float]
) -> MetricNaming:
    return MetricNaming(name, tuple(Metric(*metric) for metric in metrics))


FIREWATCH = _of(
    "firewatch",
    ("http_server_error_rate", "error"),
    ("http_server_request_duration_p99", "latency_p99"),
    ("http_server_active_requests", "active"),
    ("process_cpu_utilization", "cpu"),
    ("process_memory_utilization", "memory"),
    ("process_open_file_descriptors", "descriptors"),
    ("runtime_gc_pause_duration_ms", "gc"),
    ("process_memory_usage_bytes", "memory_bytes"),
    ("runtime_jvm_threads_count", "saturation", 150.0, 44.0),
    ("runtime_thread_pool_queue_depth", "queue"),
    ("restart_count", "restarts"),
    ("runtime_uptime_seconds", "uptime"),
    ("last_deployment_age_seconds", "deploy_age"),
    ("last_config_age_seconds", "config_age"),
)

METRIC_NAMINGS: tuple[MetricNaming, ...] = (
    _of(
        "istio",
        ("istio_requests_total_rate", "traffic"),
        ("istio_request_duration_milliseconds_p50", "latency_p50", 1000.0),
        ("istio_request_duration_milliseconds_p90", "latency_p90", 1000.0),
        ("istio_request_duration_milliseconds_p99", "latency_p99", 1000.0),
        ("istio_requests_5xx_rate", "error"),
        ("container_cpu_usage_seconds_rate", "cpu", 2.0),
        ("container_memory_working_set_bytes", "memory_bytes"),
        ("container_network_receive_bytes_rate", "net_in"),
        ("container_network_transmit_bytes_rate", "net_out"),
        ("container_tcp_retransmits", "net_fault", 1000.0),
    ),
    _of(
        "pods",
        ("CpuUsage(m)", "cpu", 500.0),
        ("CpuUsageRate(%)", "cpu", 100.0),
        ("MemoryUsage(Mi)", "memory_bytes", 2.0**-20),
        ("MemoryUsageRate(%)", "memory", 100.0),
        ("SyscallRead", "disk_io", 2.0),
        ("SyscallWrite", "disk_io", 3.0),
        ("NetworkReceiveBytes", "net_in"),
        ("NetworkTransmitBytes", "net_out"),
        ("PodClientLatencyP90(s)", "client_latency"),
        ("PodServerLatencyP90(s)", "latency_p90"),
        ("PodServerLatencyP95(s)", "latency_p95"),
        ("PodServerLatencyP99(s)", "latency_p99"),
        ("PodWorkload(Ops)", "traffic"),
        ("PodSuccessRate(%)", "error", -100.0, 100.0),
        ("trace_excl_p90_us", "own_latency", 1e6),
        ("trace_p90_us", "latency_p90", 1e6),
        ("log_count", "log_lines"),
        ("log_err_count", "log_errors"),
        ("log_tpl_shift", "log_shift"),
    ),
    _of(
        "xray",
        ("requests_Sum", "traffic", 300.0),
        ("availability_Average", "error", -100.0, 100.0),
        ("latency_Average", "latency_mean"),
        ("latency_p50", "latency_p50"),
        ("latency_p90", "latency_p90"),
        ("latency_p95", "latency_p95"),
        ("latency_p99", "latency_p99"),
    ),
    _of(
        "mesh",
        ("src_qps", "client_traffic"),
        ("src_p50", "client_latency", 500.0),
        ("src_p95", "client_latency", 1000.0),
        ("src_success_rate", "client_error", -1.0, 1.0),
        ("dest_qps", "traffic"),
        ("dest_p50", "latency_p50", 1000.0),
        ("dest_p90", "latency_p90", 1000.0),
        ("dest_p95", "latency_p95", 1000.0),
        ("dest_success_rate", "error", -1.0, 1.0),
        ("cpu_usage", "cpu"),
        ("mem_usage", "memory"),
        ("net_receive", "net_in"),
        ("net_transmit", "net_out"),
        ("threads", "saturation", 200.0),
        ("fs_usage", "disk", 4e9),
    ),
    _of(
        "docker",
        ("docker_cpu_total_pct", "cpu", 1.0),
        ("docker_cpu_user_pct", "cpu", 0.7),
        ("docker_memory_usage_pct", "memory"),
        ("docker_memory_rss_total", "memory_bytes"),
        ("docker_memory_stats_active_anon", "memory_bytes", 0.8),
        ("docker_diskio_read_bytes", "disk_io", 4096.0),
        ("docker_diskio_writes", "disk_io"),
        ("docker_network_in_bytes", "net_in"),
        ("docker_network_out_bytes", "net_out"),
    ),
    _of(
        "cloudwatch",
        ("CPUUtilization", "cpu", 100.0),
        ("MemoryUtilization", "memory", 100.0),
        ("TargetResponseTime_p99", "latency_p99"),
        ("TargetResponseTime_p50", "latency_p50"),
        ("HTTPCode_Target_5XX_rate", "error"),
        ("RequestCount_requests_per_s", "traffic"),
        ("NetworkIn_bytes_in", "net_in"),
        ("NetworkOut_bytes_out", "net_out"),
    ),
    _of(
        "otel",
        ("http_server_error_ratio", "error"),
        ("http_server_request_duration_p50", "latency_p50"),
        ("http_server_request_duration_p95", "latency_p95"),
        ("http_client_duration", "client_latency"),
        ("http_server_requests_per_second", "traffic"),
        ("http_server_active_requests", "active"),
        ("process_cpu_utilization", "cpu"),
        ("process_memory_usage_bytes", "memory_bytes"),
        ("process_open_file_descriptors", "descriptors"),
        ("jvm_gc_pause_ms", "gc"),
        ("jvm_thread_pool_usage", "saturation"),
    ),
    _of(
        "golden",
        ("latency", "latency_p50"),
        ("latency_p99", "latency_p99"),
        ("error_rate", "error"),
        ("throughput", "traffic"),
        ("saturation_pool", "saturation"),
    ),
)
# Dialects of systems that give alert events rather than series.
ALERT_NAMINGS = tuple(d for d in METRIC_NAMINGS if d.name in ("mesh", "docker", "pods"))
