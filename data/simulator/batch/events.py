"""Generates alert events from metric thresholds, traces and log patterns, with false alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.arrays import Bools, Floats
from data.incident import AlertEvent
from data.simulator.topology import Topology

# The percentile by which tracing finds spans slow.
LATENCIES = ("latency_p90", "latency_p95", "latency_p99")
_VERBS = ("get", "list", "create", "update", "check", "query", "/orders", "/items", "HTTP/POST", "HTTP/GET")


@dataclass(frozen=True, eq=False)
class Measured:
    """One metric of a whole system."""

    name: str
    values: Floats  # (S, T0 + T)
    known: Bools  # (S,) which services have it


def alert_events(
    rng: np.random.Generator,
    topology: Topology,
    measured: Sequence[Measured],
    signals: Mapping[str, Floats],  # {signal: (S, T0 + T)}
    baseline: int,  # T0
    roots: Sequence[int],
    blind: Bools,  # (S,) nothing is measured
    hidden: Floats,  # (S,) share of each service's errors and latency that only its callers see
) -> tuple[AlertEvent, ...]:
    """All alerts, in random order."""
    events = _metric_alerts(rng, topology, measured, baseline)
    slower, failing = _changes(signals, baseline, str(rng.choice(LATENCIES)))
    inside = np.where(blind, 0.0, _changes(signals, baseline, "own_latency")[0])
    if rng.random() < 0.85:
        seen = 1.0 - hidden
        events += _trace_alerts(rng, topology, slower / seen, failing / seen, inside)
    if rng.random() < 0.7:
        events += _log_alerts(rng, topology, slower, failing, roots, blind)
    order = rng.permutation(len(events))
    return tuple(events[i] for i in order.tolist())


def _changes(signals: Mapping[str, Floats], baseline: int, which: str) -> tuple[Floats, Floats]:
    """Each service's relative slow-down and rise of the error rate.  → (S,), (S,)"""
    latency, error = np.nan_to_num(signals[which]), signals["error"]
    usual = latency[:, :baseline].mean(axis=1) + 1e-9
    slower = latency[:, baseline:].max(axis=1) / usual - 1.0
    failing = error[:, baseline:].max(axis=1) - error[:, :baseline].mean(axis=1)
    return slower, failing


def _metric_alerts(
    rng: np.random.Generator, topology: Topology, measured: Sequence[Measured], split: int
) -> list[AlertEvent]:
    threshold = rng.uniform(2.5, 6.0)
    unsteady = np.exp(rng.normal(-0.5, 0.8, len(topology.names)))
    events = []
    for metric in measured:
        # Some metrics raise false alarms in every incident, others hardly ever.
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
            events.append(AlertEvent(topology.names[i], "metric", metric.name, direction))
    return events


def _trace_alerts(
    rng: np.random.Generator, topology: Topology, slower: Floats, failing: Floats, inside: Floats
) -> list[AlertEvent]:
    """Slow and failed spans, reported by the callee, the caller or both, depending on the system."""
    names = topology.names
    failed = str(rng.choice(["500", "ERROR", "400"]))
    slow_at, fail_at = rng.uniform(0.3, 2.0), rng.uniform(0.02, 0.15)
    client_spans, inner_spans = rng.random() < 0.6, rng.random() < 0.7
    # A callee that is cut off or killed reports no failed spans; often only its callers do.
    callee_reports, caller_reports = rng.choice([0.0, 0.2, 0.9]), rng.choice([0.2, 0.9])
    false_alarms = rng.choice([0.0, 0.02, 0.1, 0.2])
    operations: dict[int, list[str]] = {}
    events = []
    for caller, callee in zip(topology.callers.tolist(), topology.callees.tolist(), strict=True):
        who, by = names[callee], names[caller]
        if callee not in operations:
            operations[callee] = rng.choice(_VERBS, int(rng.integers(1, 4)), replace=False).tolist()
        for verb in operations[callee]:
            operation = f"{verb}/{who}"
            slow, fails = slower[callee] > slow_at, failing[callee] > fail_at
            if slow or rng.random() < false_alarms:
                events.append(AlertEvent(who, "trace", operation, "PD", by))
            if client_spans and (slow or rng.random() < 0.5 * false_alarms):
                events.append(AlertEvent(by, "trace", operation, "PD", by))
            if fails or rng.random() < 0.2 * false_alarms:
                if rng.random() < callee_reports:
                    events.append(AlertEvent(who, "trace", operation, failed, by))
                if rng.random() < caller_reports:
                    events.append(AlertEvent(by, "trace", operation, failed, by))
    if inner_spans:
        for service in np.flatnonzero(inside > slow_at).tolist():
            if rng.random() < 0.8:
                events.append(AlertEvent(names[service], "trace", "inner", "PD", names[service]))
    for entry in np.flatnonzero(topology.entries).tolist():
        if slower[entry] > slow_at:
            events.append(AlertEvent(names[entry], "trace", "HTTP/GET", "PD", None))
        if failing[entry] > fail_at:
            events.append(AlertEvent(names[entry], "trace", "HTTP/GET", failed, None))
    return events


def _log_alerts(
    rng: np.random.Generator,
    topology: Topology,
    slower: Floats,
    failing: Floats,
    roots: Sequence[int],
    blind: Bools,
) -> list[AlertEvent]:
    # Some services always write unusual lines.
    background = rng.choice([0.02, 0.1, 0.5, 2.0]) * np.exp(rng.normal(0.0, 1.2, len(topology.names)))
    victims_write = rng.choice([0.0, 0.5, 1.5])
    # Unusual lines at the root cause itself are common, but not certain.
    culprit_writes = rng.choice([0.0, 1.5, 4.0])
    patterns = rng.integers(1, 80, 24)
    events = []
    for i, name in enumerate(topology.names):
        if blind[i]:
            continue
        rate = background[i] + victims_write * ((failing[i] > 0.05) + 0.3 * (slower[i] > 1.0))
        rate += culprit_writes if i in roots else 0.0
        count = min(int(rng.poisson(rate)), 12)
        for pattern in rng.choice(patterns, count, replace=False).tolist():
            events.append(AlertEvent(name, "log", str(pattern)))
    return events
