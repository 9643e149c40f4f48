"""Performs actions in the world."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.actions import LOOKS, REMEDIES
from data.faults.drives import Drive
from data.observation import Action, status_of
from data.simulator.active_faults import RunningFault
from data.simulator.world.scene import Scene

_BREAKER_TICKS = 3  # as its feedback says
_MIB = 2**20


@dataclass(frozen=True)
class Result:
    """The result of an action."""

    feedback: str
    valid: bool = True
    wrong: bool = False  # a remedy for a healthy service


def act(scene: Scene, action: Action) -> Result:
    """Performs `action`, after the world has moved by one tick."""
    kind, target = action.action_type, action.target_service
    if kind == "declare_resolved":
        return Result("Incident declared resolved. Evaluating scene...")
    if kind == "escalate":
        scene.cheap_investigations = 2
        return Result(
            "Escalated: a specialist joins. The next 2 investigations burn half the usual SLO budget."
        )
    if not target:
        return Result(f"Action '{kind}' requires a target_service. No action taken.", valid=False)
    names = scene.setup.topology.names
    if target not in names:
        return Result(
            f"Invalid target: '{target}' is not a service of this episode. Services: {list(names)}. "
            "No action taken.",
            valid=False,
        )
    index = names.index(target)
    if kind in LOOKS:
        return Result(_INVESTIGATE[kind](scene, index))
    return _remediate(scene, kind, index)


# Investigations


def _fetch_logs(scene: Scene, index: int) -> str:
    setup, tick = scene.setup, scene.tick
    name = setup.topology.names[index]
    fault = _fault_at(scene, index)
    values = log_values(scene, index)
    if fault is not None and fault.minutes > 0.0 and not fault.halted:
        lines = scene.voice.culprit(name, fault.family.name, values, tick)
    elif index in scene.lying:
        lines = scene.voice.lying(name, setup.rng, values, tick)
    elif _ails(scene, index):
        lines = scene.voice.victim(name, values, tick)
    else:
        lines = scene.voice.healthy(name, tick)
    scene.sensors.logs[index] = lines
    return f"Fetched {len(lines)} log lines of {name}. See recent_logs in the observation."


def _metrics_detail(scene: Scene, index: int) -> str:
    name = scene.setup.topology.names[index]
    past = [services[name] for services in scene.sensors.history][-3:]
    parts = []
    trend = 0.0
    for label, metric in (
        ("error_rate", "http_server_error_rate"),
        ("latency_p99_s", "http_server_request_duration_p99"),
        ("memory_utilization", "process_memory_utilization"),
        ("cpu_utilization", "process_cpu_utilization"),
    ):
        values = [own[metric] for own in past if metric in own]
        if not values:
            parts.append(f"{label} not measured")
            continue
        parts.append(f"{label} " + "→".join(f"{value:.2f}" for value in values))
        if label in ("error_rate", "latency_p99_s"):
            trend += values[-1] - values[0]
    if len(past) < 2:
        verdict = "Too little history for a trend."
    elif trend > 0.05:
        verdict = "Getting worse."
    elif trend < -0.05:
        verdict = "Getting better."
    else:
        verdict = "Steady."
    return f"{name}, last {len(past)} ticks: {', '.join(parts)}. {verdict}"


def _trace(scene: Scene, index: int) -> str:
    topology = scene.setup.topology
    name = topology.names[index]
    seen = scene.sensors.history[-1]

    def listed(indices: list[int]) -> str:
        names = [topology.names[i] for i in indices]
        return ", ".join(f"{n} ({seen[n]['status']})" for n in names) or "none"

    callees = topology.callees[topology.callers == index].tolist()
    callers = topology.callers[topology.callees == index].tolist()
    return f"{name} calls: {listed(callees)}. Called by: {listed(callers)}."


def _dump(scene: Scene, index: int) -> str:
    name = scene.setup.topology.names[index]
    fault = _fault_at(scene, index)
    if fault is not None and fault.minutes > 0.0 and not fault.halted and fault.family.dump:
        return f"{name}: " + fault.family.dump.format_map({"sha": scene.sensors.identities[index].sha})
    if _ails(scene, index):
        return f"{name}: threads wait for answers of callees; nothing unusual in its own code."
    return f"{name}: nothing unusual."


def _diff(scene: Scene, index: int) -> str:
    fault = _fault_at(scene, index)
    who = scene.sensors.identities[index]
    name = scene.setup.topology.names[index]
    if fault is not None and fault.family.change == "deploy" and not fault.halted:
        return f"{name}: " + fault.family.dump.format_map({"sha": who.sha})
    return f"{name}: {who.sha} changes a copyright line and two tests; nothing that runs."


_INVESTIGATE: dict[str, Callable[[Scene, int], str]] = {
    "fetch_logs": _fetch_logs,
    "get_metrics_detail": _metrics_detail,
    "trace_dependencies": _trace,
    "strace_process": _dump,
    "thread_dump": _dump,
    "inspect_commit_diff": _diff,
}


# Remedies


def _remediate(scene: Scene, kind: str, index: int) -> Result:
    name = scene.setup.topology.names[index]
    state = scene.state
    error, latency = float(state.error_rate[index]), float(state.latency_s[index])
    healthy = error < 0.05 and latency < 0.50
    fault = _fault_at(scene, index)
    remedy = fault.family.remedy(kind) if fault is not None and not fault.halted else None
    _PHYSICAL.get(kind, _nothing)(scene, index)
    if remedy is not None and fault is not None and fault.minutes > 0.0:
        fault.apply(remedy)
        return Result(
            remedy.feedback.format_map({"service": name, **log_values(scene, index)}), wrong=healthy
        )
    done = REMEDIES[kind].done.format(service=name)
    if healthy:
        return Result(
            f"{done} It was not degraded (error rate {error:.4f}): the change was not needed.", wrong=True
        )
    return Result(f"{done} What troubles it goes on.")


def _nothing(_scene: Scene, _index: int) -> None:
    """No lasting change, except for the effect on a fault."""


def _restart(scene: Scene, index: int) -> None:
    who = scene.sensors.identities[index]
    who.uptime_s = 0
    who.restarts += 1


def _rollback(scene: Scene, index: int) -> None:
    who = scene.sensors.identities[index]
    who.sha = f"{int(scene.setup.rng.integers(16**7)):07x}"
    who.deploy_age_s = 172_800


def _revert(scene: Scene, index: int) -> None:
    who = scene.sensors.identities[index]
    who.config_revision += 1
    who.config_age_s = 0


def _scale(scene: Scene, index: int) -> None:
    fleet = scene.setup.fleet
    fleet.memory_limit_bytes[index] *= 2.0
    fleet.memory[index] *= 0.5
    for fault in scene.setup.faults:
        if fault.service == index:
            fault.levels[Drive.MEMORY] *= 0.5


def _break_circuit(scene: Scene, index: int) -> None:
    scene.broken_until[index] = scene.tick + _BREAKER_TICKS


def _extend(scene: Scene, index: int) -> None:
    scene.physics.extend_timeouts(index, 2.0)


_PHYSICAL: dict[str, Callable[[Scene, int], None]] = {
    "restart_service": _restart,
    "rollback_deploy": _rollback,
    "revert_config": _revert,
    "scale_replicas": _scale,
    "circuit_break": _break_circuit,
    "extend_timeout": _extend,
}


# Helpers of both


def _fault_at(scene: Scene, index: int) -> RunningFault | None:
    return next((fault for fault in scene.setup.faults if fault.service == index), None)


def _ails(scene: Scene, index: int) -> bool:
    state = scene.state
    error, latency = float(state.error_rate[index]), float(state.latency_s[index])
    return status_of(error, latency, 0.0) != "healthy"


def log_values(scene: Scene, index: int) -> dict[str, object]:
    """Values for log lines and feedback."""
    setup, state = scene.setup, scene.state
    topology = setup.topology
    callees = topology.callees[topology.callers == index]
    worst = callees[int(np.argmax(state.error_rate[callees]))] if len(callees) else index
    error, latency = float(state.error_rate[index]), float(state.latency_s[index])
    memory = float(setup.fleet.memory[index])
    for fault in setup.faults:
        if fault.service == index:
            memory += float(fault.levels[Drive.MEMORY]) * (1.0 - memory)
    who = scene.sensors.identities[index]
    return {
        "error": round(100 * error),
        "latency_ms": round(1000 * latency),
        "memory": round(100 * memory),
        "limit_mi": round(float(setup.fleet.memory_limit_bytes[index]) / _MIB),
        "gc": round(float(state.gc_pause_ms[index])),
        "cpu": round(100 * float(state.cpu[index])),
        "saturation": round(100 * float(state.saturation[index])),
        "network": round(100 * float(state.network[index])),
        "surge": round(float(state.traffic[index]), 1),
        "waiting": round(float(state.active_requests[index])),
        "descriptors": round(float(state.descriptors[index])),
        "revision": who.config_revision,
        "sha": who.sha,
        "callee": topology.names[int(worst)],
        "status": status_of(error, latency, 0.0),
    }
