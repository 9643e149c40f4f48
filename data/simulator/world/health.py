"""Statuses and alerts, by the protocol's thresholds."""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from data.arrays import Floats, Ints
from data.observation import status_of

STATUSES = ("healthy", "degraded", "critical", "down")  # by severity


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
    return [
        {
            "alert_id": f"{zlib.crc32(f'{alertname}/{name}/{tick}'.encode()):08x}",
            "alertname": alertname,
            "service_name": name,
            "severity": severity,
            "description": description,
            "fired_at_tick": tick,
            "metric_name": metric,
            "metric_value": value,
            "threshold_value": threshold,
        }
        for name, own in services.items()
        for alertname, severity, metric, value, threshold, description in _raised(name, own, tick)
    ]


def _raised(name: str, own: dict[str, Any], tick: int) -> Iterator[tuple[str, str, str, float, float, str]]:
    """The alerts of a service: name, severity, metric, its value and threshold, and a description."""
    error = own.get("http_server_error_rate", 0.0)
    latency = own.get("http_server_request_duration_p99", 0.0)
    memory = own.get("process_memory_utilization", 0.0)
    if own["status"] == "healthy" and memory < 0.80:
        return
    if error >= 0.10:
        severity = "critical" if error >= 0.50 else "warning"
        text = f"http_server_error_rate is {error:.2f} (threshold: 0.05) on {name} for {tick} ticks"
        yield "HighErrorRate", severity, "http_server_error_rate", error, 0.05, text
    if latency >= 0.50:
        severity, limit = ("critical", 2.0) if latency >= 2.0 else ("warning", 0.5)
        text = f"http_server_request_duration_p99 is {latency:.2f}s (threshold: {limit:.2f}s) on {name}"
        yield "HighLatency", severity, "http_server_request_duration_p99", latency, limit, text
    if memory >= 0.80:
        severity = "critical" if memory >= 0.95 else "warning"
        text = f"process_memory_utilization is {memory:.2f} (threshold: 0.80) on {name}"
        yield "MemoryPressure", severity, "process_memory_utilization", memory, 0.8, text
    if own["status"] == "down":
        yield "ServiceDown", "page", "status", 1.0, 0.0, f"{name} is DOWN"
