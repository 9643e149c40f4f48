"""Alert events: series judged by thresholds, calls judged by traces, and log patterns, with false alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.incident import AlertEvent
from data.simulator.topology import Topology

Floats = npt.NDArray[np.float64]
# What a system's tracing goes by when it calls a span slow.
LATENCIES = ("latency_p90", "latency_p95", "latency_p99")
_VERBS = ("get", "list", "create", "update", "check", "query", "/orders", "/items", "HTTP/POST", "HTTP/GET")


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric of a whole system."""

    name: str
    values: Floats  # (S, T0 + T)
    known: npt.NDArray[np.bool_]  # (S,) who has it


class Raised(NamedTuple):
    """An alert, and how often it is raised when nothing is wrong."""

    event: AlertEvent
    usual: float  # 0..1, share of windows


def alert_events(
    rng: np.random.Generator,
    topology: Topology,
    measured: Sequence[Measured],
    signals: Mapping[str, Floats],  # {signal: (S, T0 + T)}
    baseline: int,
    roots: Sequence[int],
    blind: npt.NDArray[np.bool_],
    hidden: Floats,
    caller_spans: float,
) -> tuple[tuple[AlertEvent, ...], dict[AlertEvent, float]]:
    """Everything that would have alerted, in no order that means anything, and what does on other days, too.

    Args:
        rng: what is drawn from.
        topology: of the system.
        measured: every metric.
        signals: {signal: (S, T0 + T)}
        baseline: T0.
        roots: the culprits.
        blind: (S,) at which nothing is measured.
        hidden: (S,) share of each service's own trouble that only its callers see.
        caller_spans: chance that spans are those of callers, not of callees.

    Returns:
        The alerts, and {alert: share of past windows in which it was raised}, empty where no past is known.
    """
    raised = _metric_alerts(rng, topology, measured, baseline)
    slower, failing = _changes(signals, baseline, str(rng.choice(LATENCIES)))
    inside = np.where(blind, 0.0, _changes(signals, baseline, "own_latency")[0])
    if rng.random() < 0.85:
        slower_seen, failing_seen = slower / (1.0 - hidden), failing / (1.0 - hidden)
        calls = slower_seen[topology.callees], failing_seen[topology.callees]
        # Spans are a callee's own most often; those of callers also hold what lies between the two.
        if rng.random() < caller_spans:
            calls = _calls(topology, signals, baseline, *calls)
        raised += _trace_alerts(rng, topology, calls, slower_seen, failing_seen, inside)
    if rng.random() < 0.7:
        raised += _log_alerts(rng, topology, slower, failing, roots, blind)
    order = rng.permutation(len(raised))
    routine: dict[AlertEvent, float] = {}
    if rng.random() < 0.3:
        windows = int(rng.choice([5, 20, 100]))
        drawn = rng.binomial(windows, [min(one.usual, 1.0) for one in raised]) / windows
        for one, share in zip(raised, drawn.tolist(), strict=True):
            if share > 0.0:
                routine[one.event] = max(share, routine.get(one.event, 0.0))
    return tuple(raised[i].event for i in order.tolist()), routine


def _calls(
    topology: Topology, signals: Mapping[str, Floats], baseline: int, slower: Floats, failing: Floats
) -> tuple[Floats, Floats]:
    """The slow-down and the share of failures of every call as its caller sees them: twice (E,).

    What is wrong with its network a service meets on every call that it makes, and everybody who calls it.
    """
    usual = np.nan_to_num(signals[LATENCIES[0]])[:, :baseline].mean(axis=1) + 1e-9
    calling = signals["calling"][:, baseline:].max(axis=1)
    lost = 0.7 * np.nan_to_num(signals["net_fault"])[:, baseline:].max(axis=1)
    slower = slower + calling[topology.callers] / usual[topology.callees]
    return slower, np.maximum(failing, lost[topology.callers])


def _habit(rng: np.random.Generator, topology: Topology, mean: float, spread: float) -> Floats:
    """Drawn from a normal distribution; replicas run the same code and share most of its habits.  → (S,)"""
    size = len(topology.names)
    shared = rng.normal(0.0, 0.95 * spread, size)[topology.groups]
    return np.asarray(mean + shared + rng.normal(0.0, 0.3 * spread, size))


def _changes(signals: Mapping[str, Floats], baseline: int, which: str) -> tuple[Floats, Floats]:
    """Relative slow-down and rise of the error rate of every service.  → (S,), (S,)"""
    latency, error = np.nan_to_num(signals[which]), signals["error"]
    usual = latency[:, :baseline].mean(axis=1) + 1e-9
    slower = latency[:, baseline:].max(axis=1) / usual - 1.0
    failing = error[:, baseline:].max(axis=1) - error[:, :baseline].mean(axis=1)
    return slower, failing


def _metric_alerts(
    rng: np.random.Generator, topology: Topology, measured: Sequence[Measured], split: int
) -> list[Raised]:
    threshold = rng.uniform(2.5, 6.0)
    unsteady = np.exp(_habit(rng, topology, -0.5, 0.8))
    events = []
    for metric in measured:
        # Some metrics cry wolf in every incident, others hardly ever.
        false_alarms = rng.choice([0.0, 0.01, 0.03, 0.1, 0.3])
        values = metric.values
        gone = np.isnan(values)
        values = np.where(gone, 0.0, values)
        weight = (~gone).astype(np.float64)
        calm_n = np.maximum(weight[:, :split].sum(axis=1), 1.0)
        now_n = weight[:, split:].sum(axis=1)
        calm = values[:, :split].sum(axis=1) / calm_n
        now = values[:, split:].sum(axis=1) / np.maximum(now_n, 1.0)
        variance = ((values[:, :split] - calm[:, None]) ** 2 * weight[:, :split]).sum(axis=1) / calm_n
        deviation = (now - calm) / (np.sqrt(variance) + 0.02 * np.abs(calm) + 1e-9)
        fires = (np.abs(deviation) > threshold) | (rng.random(len(calm)) < false_alarms * unsteady)
        for i in np.flatnonzero(fires & metric.known & (now_n > 0.0)).tolist():
            direction = "up" if deviation[i] > 0.0 else "down"
            usual = float(min(false_alarms * unsteady[i], 0.95))
            events.append(Raised(AlertEvent(topology.names[i], "metric", metric.name, direction), usual))
    return events


def _trace_alerts(
    rng: np.random.Generator,
    topology: Topology,
    calls: tuple[Floats, Floats],
    slower: Floats,
    failing: Floats,
    inside: Floats,
) -> list[Raised]:
    """Slow and failed spans, at callee, caller or both: as a system's tracing happens to report.

    Args:
        rng: what is drawn from.
        topology: of the system.
        calls: relative slow-down and share of failures of every call: twice (E,).
        slower: relative slow-down of every service.  (S,)
        failing: its share of failures.  (S,)
        inside: relative slow-down of its own work.  (S,)
    """
    names = topology.names
    failed = str(rng.choice(["500", "ERROR", "400"]))
    slow_at, fail_at = rng.uniform(0.3, 2.0), rng.uniform(0.02, 0.15)
    client_spans, inner_spans = rng.random() < 0.6, rng.random() < 0.7
    # A callee that is cut off or killed reports no failed span; often only its callers do.
    callee_reports, caller_reports = rng.choice([0.0, 0.2, 0.9]), rng.choice([0.2, 0.9])
    false_alarms = rng.choice([0.0, 0.02, 0.1, 0.2])
    operations: dict[int, list[str]] = {}
    events = []

    def add(usual: float, *alert: str | None) -> None:
        events.append(Raised(AlertEvent(*alert), usual))  # type: ignore[arg-type]

    for caller, callee, call_slower, call_failing in zip(
        topology.callers.tolist(),
        topology.callees.tolist(),
        calls[0].tolist(),
        calls[1].tolist(),
        strict=True,
    ):
        who, by = names[callee], names[caller]
        if callee not in operations:
            operations[callee] = rng.choice(_VERBS, int(rng.integers(1, 4)), replace=False).tolist()
        for verb in operations[callee]:
            operation = f"{verb}/{who}"
            slow = call_slower > slow_at
            fails = call_failing > fail_at
            if slow or rng.random() < false_alarms:
                add(false_alarms, who, "trace", operation, "PD", by)
            if client_spans and (slow or rng.random() < 0.5 * false_alarms):
                add(0.5 * false_alarms, by, "trace", operation, "PD", by)
            if fails or rng.random() < 0.2 * false_alarms:
                if rng.random() < callee_reports:
                    add(0.2 * false_alarms, who, "trace", operation, failed, by)
                if rng.random() < caller_reports:
                    add(0.2 * false_alarms, by, "trace", operation, failed, by)
    if inner_spans:
        for service in np.flatnonzero(inside > slow_at).tolist():
            if rng.random() < 0.8:
                add(0.0, names[service], "trace", "inner", "PD", names[service])
    for entry in np.flatnonzero(topology.entries).tolist():
        if slower[entry] > slow_at:
            add(0.0, names[entry], "trace", "HTTP/GET", "PD", None)
        if failing[entry] > fail_at:
            add(0.0, names[entry], "trace", "HTTP/GET", failed, None)
    return events


def _log_alerts(
    rng: np.random.Generator,
    topology: Topology,
    slower: Floats,
    failing: Floats,
    roots: Sequence[int],
    blind: npt.NDArray[np.bool_],
) -> list[Raised]:
    # Some services write unusual lines all day, whatever happens.
    background = rng.choice([0.02, 0.1, 0.5, 2.0, 4.0]) * np.exp(_habit(rng, topology, 0.0, 1.2))
    victims_write = rng.choice([0.0, 0.5, 1.5])
    # Unusual lines at the culprit itself are common, not certain.
    culprit_writes = rng.choice([0.0, 1.5, 4.0, 8.0])
    patterns = rng.choice(np.arange(1, 80), 40, replace=False)
    events = []
    for i, name in enumerate(topology.names):
        if blind[i]:
            continue
        usual = 1.0 - float(
            np.exp(-background[i] / 8.0)
        )  # each writes some patterns of its own again and again
        rate = background[i] + victims_write * ((failing[i] > 0.05) + 0.3 * (slower[i] > 1.0))
        rate += culprit_writes if i in roots else 0.0
        count = min(int(rng.poisson(rate)), 30)
        for pattern in rng.choice(patterns, count, replace=False).tolist():
            events.append(Raised(AlertEvent(name, "log", str(pattern)), usual))
    return events
