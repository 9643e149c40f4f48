"""Measures the true state: identities, and metrics with noise, gaps and delay."""

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.arrays import Floats
from data.faults.drives import Drive
from data.simulator.active_faults import RunningFault
from data.simulator.physics import State
from data.simulator.topology import CALLED_BY_ALL
from data.simulator.world.health import STATUSES, measured_status, severities
from data.simulator.world.scenario import Setup

_TICK_S = 30
# Metrics of the same exporter, which go missing together.
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
# The metrics that a status depends on.
_JUDGED = ("http_server_request_duration_p99", "http_server_error_rate", "process_memory_utilization")
_IDENTITY = ("service_name", "service_version", "service_instance_id")
_FIELDS = (
    *_IDENTITY,
    "status",
    *_MEASURED,
    "runtime_uptime_seconds",
    "restart_count",
    "last_deployment_sha",
    "last_deployment_age_seconds",
    "last_config_revision",
    "last_config_age_seconds",
)
# Copying a dict that has all keys is faster than building one.
_ROOM: dict[str, Any] = dict.fromkeys(_FIELDS)


@dataclass
class Identity:
    """A service's version, instance, ages and the like."""

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
    # The measurements of recent ticks, newest last.
    history: deque[dict[str, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=4))
    _blind: list[bool] = field(init=False)
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
        # A separate stream, so that unmeasured innocents don't change the other random numbers.
        blindness = rng.spawn(1)[0]
        unmeasured = (blindness.random(size) < config.blind_elsewhere).tolist()
        shared = [kind in CALLED_BY_ALL for kind in setup.topology.kinds]
        unmonitored = (shared & (blindness.random(size) < config.unmonitored)).tolist()
        self._blind, self._gaps, self._late_ticks, self._silent_from = [], [], [], []
        for i in range(size):
            missing = config.missing_elsewhere if innocent[i] else config.missing_metrics
            gaps: frozenset[str] = frozenset()
            if rng.random() < missing:
                gaps = frozenset(_GROUPS[int(rng.integers(len(_GROUPS)))])
            self._gaps.append(gaps)
            # A root cause with neither metrics nor callers could not be found.
            called = bool((setup.topology.callees == i).any())
            hidden = not innocent[i] and called and rng.random() < config.blind_root
            self._blind.append(hidden or (innocent[i] and unmeasured[i]) or (called and unmonitored[i]))
            self._late_ticks.append(int(rng.integers(1, 3)) if rng.random() < config.stale else 0)
            self._silent_from.append(int(rng.integers(2, 9)) if rng.random() < config.silent else 10**9)
        self._extras = _extras(setup)

    def measure(self, state: State, tick: int) -> dict[str, dict[str, Any]]:
        """The services for the observation at `tick`."""
        columns = self._columns(state)
        latency, error, memory = (np.array(columns[_MEASURED.index(name)]) for name in _JUDGED)
        statuses = [STATUSES[severity] for severity in severities(error, latency, memory).tolist()]
        rows = zip(*self._described(statuses, columns, state.restarts), strict=True)
        services: dict[str, dict[str, Any]] = {}
        fresh: dict[str, dict[str, Any]] = {}
        for i, (name, row) in enumerate(zip(self.setup.topology.names, rows, strict=True)):
            own: dict[str, Any]
            if self._blind[i]:
                own = {**dict(zip(_IDENTITY, row, strict=False)), "status": "healthy"}
            else:
                own = _ROOM.copy()
                own.update(zip(_FIELDS, row, strict=True))
                for extra, (fault, healthy, broken) in self._extras[i].items():
                    own[extra] = _extra_value(fault, healthy, broken)
                gaps, silent = self._gaps[i], tick >= self._silent_from[i]
                if gaps or silent:
                    for gap in (*gaps, *(_MEASURED if silent else ())):
                        own.pop(gap, None)
                    own["status"] = measured_status(own)
            own["recent_logs"] = self.logs.get(i, [])
            fresh[name] = own
            late = self._late_ticks[i]
            if late and len(self.history) >= late:
                services[name] = {**self.history[-late][name], "recent_logs": own["recent_logs"]}
            else:
                services[name] = own
        self.history.append(fresh)
        return services

    def _described(
        self, statuses: list[str], measured: list[list[float]], restarts: Floats
    ) -> list[Sequence[object]]:
        """The fields that all services have, in the order of `_FIELDS`, with one value per service."""
        everybody = self.identities
        return [
            self.setup.topology.names,
            [who.version for who in everybody],
            [who.instance for who in everybody],
            statuses,
            *measured,
            [who.uptime_s for who in everybody],
            [who.restarts + int(more) for who, more in zip(everybody, restarts.tolist(), strict=True)],
            [who.sha for who in everybody],
            [who.deploy_age_s for who in everybody],
            [who.config_revision for who in everybody],
            [who.config_age_s for who in everybody],
        ]

    def _columns(self, state: State) -> list[list[float]]:
        """The measured metrics, in the order of `_MEASURED`, with one value per service."""
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
        """Makes every service 30 seconds older."""
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
    """Task-specific metrics of root causes; some innocents have them, too, so having one proves nothing."""
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


def names_of(setup: Setup, indices: Sequence[int]) -> list[str]:
    """Service names by index."""
    return [setup.topology.names[i] for i in indices]
