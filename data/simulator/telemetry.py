"""What is measured of the truth: identity, metrics with noise, gaps and delay, statuses, and alerts."""

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.simulator.faults import Drive
from data.simulator.physics import State
from data.simulator.running import RunningFault
from data.simulator.scenario import Setup

_TICK_S = 30
# Metrics that go missing together, as one exporter carries them.
_GROUPS = (
    ("http_server_request_duration_p99", "http_server_error_rate", "http_server_active_requests"),
    (
        "process_cpu_utilization",
        "process_memory_usage_bytes",
        "process_memory_limit_bytes",
        "process_memory_utilization",
        "process_open_file_descriptors",
    ),
    (
        "runtime_gc_pause_duration_ms",
        "runtime_gc_count_per_second",
        "runtime_jvm_threads_count",
        "runtime_jvm_threads_max",
        "runtime_thread_pool_queue_depth",
    ),
    ("last_deployment_sha", "last_deployment_age_seconds", "last_config_revision", "last_config_age_seconds"),
)
_MEASURED = tuple(name for group in _GROUPS[:3] for name in group)
_SEVERITY = {"down": 3, "critical": 2, "degraded": 1, "healthy": 0, "unknown": 0}


def status_of(error_rate: float, latency_p99_s: float, memory: float) -> str:
    """The protocol's thresholds."""
    if error_rate >= 0.90 or memory >= 0.98:
        return "down"
    if error_rate >= 0.50 or latency_p99_s >= 2.0:
        return "critical"
    if error_rate >= 0.10 or latency_p99_s >= 0.50:
        return "degraded"
    return "healthy"


@dataclass
class Identity:
    """What a service says about itself besides its metrics."""

    version: str
    instance: str
    sha: str
    uptime_s: int
    deploy_age_s: int
    config_revision: int
    config_age_s: int
    restarts: int = 0


@dataclass
class Sensors:
    """Turns states into the services of an observation."""

    setup: Setup
    identities: list[Identity] = field(init=False)
    logs: dict[int, list[str]] = field(default_factory=dict)
    # What was measured, newest last: one services dict a tick.
    history: deque[dict[str, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=4))
    _gaps: list[frozenset[str]] = field(init=False)
    _late_ticks: list[int] = field(init=False)
    _silent_from: list[int] = field(init=False)
    _extras: list[dict[str, tuple[RunningFault | None, Any, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        setup, rng = self.setup, self.setup.rng
        config, names = setup.config, setup.topology.names
        size = len(names)
        changes = {fault.service: fault.family.change for fault in setup.faults}
        innocent = [i not in changes for i in range(size)]
        self.identities = [
            _identity(rng, name, changes.get(i), innocent[i] and rng.random() < config.recent_changes)
            for i, name in enumerate(names)
        ]
        self._gaps, self._late_ticks, self._silent_from = [], [], []
        for i in range(size):
            missing = config.missing_elsewhere if innocent[i] else config.missing_metrics
            gaps: frozenset[str] = frozenset()
            if rng.random() < missing:
                gaps = frozenset(_GROUPS[int(rng.integers(len(_GROUPS)))])
            # Without metrics and without callers it could not be found at all.
            called = bool((setup.topology.callees == i).any())
            if not innocent[i] and called and rng.random() < config.blind_root:
                gaps = frozenset(name for group in _GROUPS for name in group)
            self._gaps.append(gaps)
            self._late_ticks.append(int(rng.integers(1, 3)) if rng.random() < config.stale else 0)
            self._silent_from.append(int(rng.integers(2, 9)) if rng.random() < config.silent else 10**9)
        self._extras = _extras(setup)

    def measure(self, state: State, tick: int) -> dict[str, dict[str, Any]]:
        """The services of the observation at `tick`."""
        services: dict[str, dict[str, Any]] = {}
        fresh: dict[str, dict[str, Any]] = {}
        restarts = state.restarts.tolist()
        rows = zip(*self._columns(state), strict=True)
        for i, (name, row) in enumerate(zip(self.setup.topology.names, rows, strict=True)):
            who = self.identities[i]
            own: dict[str, Any] = {
                "service_name": name,
                "service_version": who.version,
                "service_instance_id": who.instance,
                "status": "unknown",
                **dict(zip(_MEASURED, row, strict=True)),
                "runtime_uptime_seconds": who.uptime_s,
                "restart_count": who.restarts + int(restarts[i]),
                "last_deployment_sha": who.sha,
                "last_deployment_age_seconds": who.deploy_age_s,
                "last_config_revision": who.config_revision,
                "last_config_age_seconds": who.config_age_s,
            }
            for extra, (fault, healthy, broken) in self._extras[i].items():
                own[extra] = _extra_value(fault, healthy, broken)
            for gap in self._gaps[i]:
                own.pop(gap, None)
            if tick >= self._silent_from[i]:
                for gap in _MEASURED:
                    own.pop(gap, None)
            own["status"] = _measured_status(own)
            own["recent_logs"] = self.logs.get(i, [])
            fresh[name] = own
            late = self._late_ticks[i]
            if late and len(self.history) >= late:
                services[name] = {**self.history[-late][name], "recent_logs": own["recent_logs"]}
            else:
                services[name] = own
        self.history.append(fresh)
        return services

    def _columns(self, state: State) -> list[list[float]]:
        """Every measured metric, in the order of `_MEASURED`, one value a service."""
        setup = self.setup
        noise = setup.config.noise
        size = len(state.error_rate)
        error, latency, active, cpu = state.error_rate, state.latency_s, state.active_requests, state.cpu
        if noise:
            wobble = 1.0 + noise * setup.rng.standard_normal((4, size))
            error = np.minimum(np.abs(error * wobble[0]), 1.0)
            latency = latency * np.maximum(wobble[1], 0.1)
            active = np.maximum(active * wobble[2], 0.0)
            cpu = np.minimum(np.abs(cpu * wobble[3]), 1.0)
        limit = setup.fleet.memory_limit_bytes
        threads = np.minimum(50.0 + 150.0 * np.maximum(state.saturation - 0.1, 0.0), 200.0)
        queue = np.maximum(state.saturation - 0.5, 0.0) * 400.0
        return [
            latency.round(4).tolist(),
            error.round(4).tolist(),
            active.astype(np.int64).tolist(),
            cpu.round(4).tolist(),
            (state.memory * limit).astype(np.int64).tolist(),
            limit.astype(np.int64).tolist(),
            state.memory.round(4).tolist(),
            state.descriptors.astype(np.int64).tolist(),
            state.gc_pause_ms.round(1).tolist(),
            [2.0] * size,
            threads.astype(np.int64).tolist(),
            [200] * size,
            queue.astype(np.int64).tolist(),
        ]

    def tick(self) -> None:
        """Everybody gets 30 seconds older."""
        for who in self.identities:
            who.uptime_s += _TICK_S
            who.deploy_age_s += _TICK_S
            who.config_age_s += _TICK_S


def _identity(rng: np.random.Generator, name: str, change: str | None, recent: bool) -> Identity:
    token = f"{zlib.crc32(name.encode()) ^ int(rng.integers(2**32)):08x}"
    hours = rng.integers(10_000, 605_000, 2).tolist()
    deploy_age, config_age = hours
    if change == "deploy" or recent:
        deploy_age = int(rng.integers(30, 300))
    if change == "config" or (recent and rng.random() < 0.5):
        config_age = int(rng.integers(20, 120))
    major, minor, patch = rng.integers(1, 10, 3).tolist()
    return Identity(
        version=f"v{1 + major % 3}.{minor}.{patch}",
        instance=f"{name[:4]}-{token[:6]}-{token[3:6]}",
        sha=f"{int(rng.integers(16**7)):07x}",
        uptime_s=int(rng.integers(10_000, 175_000)),
        deploy_age_s=int(deploy_age),
        config_revision=int(rng.integers(1, 21)),
        config_age_s=int(config_age),
    )


def _extras(setup: Setup) -> list[dict[str, tuple[RunningFault | None, Any, Any]]]:
    """Task-specific metrics: at the culprit and, healthy, at innocents: having one proves nothing."""
    extras: list[dict[str, tuple[RunningFault | None, Any, Any]]] = [{} for _ in setup.topology.names]
    for fault in setup.faults:
        for extra in fault.family.extras:
            for i, own in enumerate(extras):
                if i == fault.service:
                    own[extra.name] = (fault, extra.healthy, extra.broken)
                elif setup.rng.random() < 0.5:
                    own.setdefault(extra.name, (None, extra.healthy, extra.broken))
    return extras


def _extra_value(fault: RunningFault | None, healthy: Any, broken: Any) -> Any:
    if fault is None or fault.halted or fault.minutes <= 0.0:
        return healthy
    if isinstance(healthy, (str, bool)):
        return broken
    share = min(1.0, max(float(fault.levels[Drive.ERROR]), fault.minutes * fault.pace / 4.0))
    value = healthy + (broken - healthy) * share
    return round(value, 4) if isinstance(healthy, float) or isinstance(broken, float) else round(value)


def _measured_status(own: dict[str, Any]) -> str:
    error = own.get("http_server_error_rate")
    latency = own.get("http_server_request_duration_p99")
    memory = own.get("process_memory_utilization")
    if error is None and latency is None and memory is None:
        return "unknown"
    return status_of(error or 0.0, latency or 0.0, memory or 0.0)


def is_worse(status: str, than: str) -> bool:
    """Whether one status is more severe than another."""
    return _SEVERITY[status] > _SEVERITY[than]


def alerts(services: dict[str, dict[str, Any]], tick: int) -> list[dict[str, Any]]:
    """The alerts that these services raise at `tick`."""
    raised = []
    for name, own in services.items():
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


def names_of(setup: Setup, indices: Sequence[int]) -> list[str]:
    """Service names by index."""
    return [setup.topology.names[i] for i in indices]
