"""Alert events: series judged by thresholds, calls judged by traces, and log patterns, with false alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.incident import AlertEvent
from data.simulator.topology import Topology

Floats = npt.NDArray[np.float64]
_VERBS = ("get", "list", "create", "update", "check", "query", "/orders", "/items", "HTTP/POST", "HTTP/GET")


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric of a whole system."""

    name: str
    values: Floats  # (S, T0 + T)
    known: npt.NDArray[np.bool_]  # (S,) who has it


def alert_events(
    rng: np.random.Generator,
    topology: Topology,
    measured: Sequence[Measured],
    signals: Mapping[str, Floats],  # {signal: (S, T0 + T)}
    baseline: int,
    roots: Sequence[int],
    blind: npt.NDArray[np.bool_],
) -> tuple[AlertEvent, ...]:
    """Everything that would have alerted, in no order that means anything."""
    events = _metric_alerts(rng, topology, measured, baseline)
    slower, failing = _changes(signals, baseline)
    if rng.random() < 0.85:
        events += _trace_alerts(rng, topology, slower, failing)
    if rng.random() < 0.7:
        events += _log_alerts(rng, topology, slower, failing, roots, blind)
    order = rng.permutation(len(events))
    return tuple(events[i] for i in order.tolist())


def _changes(signals: Mapping[str, Floats], baseline: int) -> tuple[Floats, Floats]:
    """Relative slow-down and rise of the error rate of every service.  → (S,), (S,)"""
    latency, error = np.nan_to_num(signals["latency_p99"]), signals["error"]
    usual = latency[:, :baseline].mean(axis=1) + 1e-9
    slower = latency[:, baseline:].max(axis=1) / usual - 1.0
    failing = error[:, baseline:].max(axis=1) - error[:, :baseline].mean(axis=1)
    return slower, failing


def _metric_alerts(
    rng: np.random.Generator, topology: Topology, measured: Sequence[Measured], split: int
) -> list[AlertEvent]:
    threshold = rng.uniform(2.5, 6.0)
    events = []
    for metric in measured:
        false_alarms = rng.choice([0.01, 0.03, 0.1, 0.3])  # some metrics cry wolf
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
        fires = (np.abs(deviation) > threshold) | (rng.random(len(calm)) < false_alarms)
        for i in np.flatnonzero(fires & metric.known & (now_n > 0.0)).tolist():
            direction = "up" if deviation[i] > 0.0 else "down"
            events.append(AlertEvent(topology.names[i], "metric", metric.name, direction))
    return events


def _trace_alerts(
    rng: np.random.Generator, topology: Topology, slower: Floats, failing: Floats
) -> list[AlertEvent]:
    failed = str(rng.choice(["500", "ERROR"]))
    client_spans = rng.random() < 0.5
    slow_at, fail_at = rng.uniform(0.4, 2.0), rng.uniform(0.02, 0.15)
    false_alarms = rng.choice([0.0, 0.02, 0.1])
    events = []
    for caller, callee in zip(topology.callers.tolist(), topology.callees.tolist(), strict=True):
        who, by = topology.names[callee], topology.names[caller]
        for verb in rng.choice(_VERBS, int(rng.integers(1, 4)), replace=False).tolist():
            operation = f"{verb}/{who}"
            if slower[callee] > slow_at or rng.random() < false_alarms:
                events.append(AlertEvent(who, "trace", operation, "PD", by))
                if client_spans and rng.random() < 0.5:
                    events.append(AlertEvent(by, "trace", operation, "PD", by))
            if failing[callee] > fail_at and rng.random() < 0.8:
                events.append(AlertEvent(who, "trace", operation, failed, by))
    for entry in np.flatnonzero(topology.entries).tolist():
        if slower[entry] > slow_at:
            events.append(AlertEvent(topology.names[entry], "trace", "HTTP/GET", "PD", None))
    return events


def _log_alerts(
    rng: np.random.Generator,
    topology: Topology,
    slower: Floats,
    failing: Floats,
    roots: Sequence[int],
    blind: npt.NDArray[np.bool_],
) -> list[AlertEvent]:
    background = rng.choice([0.0, 0.2, 1.0])
    patterns = rng.integers(1, 80, 24)
    events = []
    for i, name in enumerate(topology.names):
        if blind[i]:
            continue
        rate = background + (1.5 if failing[i] > 0.05 else 0.0) + (0.5 if slower[i] > 1.0 else 0.0)
        rate += 1.0 if i in roots else 0.0
        count = min(int(rng.poisson(rate)), 8)
        for pattern in rng.choice(patterns, count, replace=False).tolist():
            events.append(AlertEvent(name, "log", str(pattern)))
    return events
