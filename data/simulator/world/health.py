"""Statuses and alerts, by the protocol's thresholds."""

import zlib
from typing import Any

import numpy as np

from data.arrays import Floats, Ints

STATUSES = ("healthy", "degraded", "critical", "down")  # by severity


def status_of(error_rate: float, latency_p99_s: float, memory: float) -> str:
    """The status of one service, by the protocol's thresholds."""
    if error_rate >= 0.90 or memory >= 0.98:
        return "down"
    if error_rate >= 0.50 or latency_p99_s >= 2.0:
        return "critical"
    if error_rate >= 0.10 or latency_p99_s >= 0.50:
        return "degraded"
    return "healthy"


def severities(error_rate: Floats, latency_p99_s: Floats, memory: Floats) -> Ints:
    """`status_of` for all services at once, as indices into `STATUSES`.  → (S,)"""
    degraded = (error_rate >= 0.10) | (latency_p99_s >= 0.50)
    critical = (error_rate >= 0.50) | (latency_p99_s >= 2.0)
    down = (error_rate >= 0.90) | (memory >= 0.98)
    # Critical includes degraded.
    return np.asarray(np.where(down, 3, degraded.astype(np.int64) + critical))


def measured_status(own: dict[str, Any]) -> str:
    """The status implied by a service's metrics, some of which may be missing; healthy by default.

    The protocol has no status for unknown, and its original client refuses one.
    """
    error = own.get("http_server_error_rate")
    latency = own.get("http_server_request_duration_p99")
    memory = own.get("process_memory_utilization")
    return status_of(error or 0.0, latency or 0.0, memory or 0.0)


def alerts(services: dict[str, dict[str, Any]], tick: int) -> list[dict[str, Any]]:
    """The alerts of these services at `tick`."""
    raised = []
    for name, own in services.items():
        if own["status"] == "healthy" and own.get("process_memory_utilization", 0.0) < 0.80:
            continue
        error = own.get("http_server_error_rate", 0.0)
        latency = own.get("http_server_request_duration_p99", 0.0)
        memory = own.get("process_memory_utilization", 0.0)
        if error >= 0.10:
            severity = "critical" if error >= 0.50 else "warning"
            text = f"http_server_error_rate is {error:.2f} (threshold: 0.05) on {name} for {tick} ticks"
            raised.append(
                _alert("HighErrorRate", name, severity, text, tick, "http_server_error_rate", error, 0.05)
            )
        if latency >= 0.50:
            severity, limit = ("critical", 2.0) if latency >= 2.0 else ("warning", 0.5)
            text = f"http_server_request_duration_p99 is {latency:.2f}s (threshold: {limit:.2f}s) on {name}"
            raised.append(
                _alert(
                    "HighLatency",
                    name,
                    severity,
                    text,
                    tick,
                    "http_server_request_duration_p99",
                    latency,
                    limit,
                )
            )
        if memory >= 0.80:
            severity = "critical" if memory >= 0.95 else "warning"
            text = f"process_memory_utilization is {memory:.2f} (threshold: 0.80) on {name}"
            raised.append(
                _alert(
                    "MemoryPressure", name, severity, text, tick, "process_memory_utilization", memory, 0.8
                )
            )
        if own["status"] == "down":
            raised.append(_alert("ServiceDown", name, "page", f"{name} is DOWN", tick, "status", 1.0, 0.0))
    return raised


def _alert(
    alertname: str,
    service: str,
    severity: str,
    description: str,
    tick: int,
    metric: str,
    value: float,
    threshold: float,
) -> dict[str, Any]:
    return {
        "alert_id": f"{zlib.crc32(f'{alertname}/{service}/{tick}'.encode()):08x}",
        "alertname": alertname,
        "service_name": service,
        "severity": severity,
        "description": description,
        "fired_at_tick": tick,
        "metric_name": metric,
        "metric_value": value,
        "threshold_value": threshold,
    }
