"""Turns simulated runs into incidents: metric names, gaps, pages, call telemetry and alert events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.arrays import Bools, Floats, Ints
from data.incident import AlertEvent, Incident, Page, Series
from data.simulator.active_faults import RunningFault, as_callers_see
from data.simulator.batch.events import LATENCIES, Measured, alert_events
from data.simulator.batch.measurement_profile import Profile
from data.simulator.batch.metric_naming import MetricNaming
from data.simulator.batch.signals import SHARES, read_signals, truth
from data.simulator.config import SimulationConfig
from data.simulator.physics import Fleet, State
from data.simulator.topology import Topology


@dataclass(frozen=True)
class Window:
    """The shape of an incident's data."""

    kind: Literal["snapshot", "series", "alerts"]
    baseline: int  # points before the incident
    points: int  # points of the incident
    minutes: float  # between two points


@dataclass(frozen=True, eq=False)
class Seen:
    """One world, as far as assembling its incident needs it."""

    topology: Topology
    views: Ints  # (S,) the service behind each node; a real service is behind itself
    faults: tuple[RunningFault, ...]
    naming: MetricNaming


def assemble_incidents(
    rng: np.random.Generator,
    name: str,
    window: Window,
    worlds: Sequence[Seen],
    whole: Topology,
    fleet: Fleet,
    profile: Profile,
    states: Sequence[State],
    rest: State,
    hidden: Floats,
    season: Floats,
    gaps: SimulationConfig,
) -> list[Incident]:
    """Splits one run of many worlds into one incident per world."""
    spans = {*LATENCIES, "own_latency"} if window.kind == "alerts" else set()
    wanted = sorted(
        {metric.signal for world in worlds for metric in world.naming.metrics}
        | {"error", "latency_p99"}
        | spans
    )
    true = truth(rng, states, rest, fleet, profile, season, window.minutes)
    signals = read_signals(rng, true, profile, window.baseline, window.minutes, wanted)
    incidents = []
    start = 0
    for number, world in enumerate(worlds):
        span = slice(start, start + len(world.topology.names))
        own = {signal: signals[signal][:, span].T for signal in wanted}
        own = _as_shown(rng, own, world.views, hidden[span])
        incidents.append(_incident(rng, f"{name}-{number}", window, world, own, hidden[span], gaps))
        start = span.stop
    return incidents


# A single caller may see in its lower percentile what all callers together see in a higher one.
_FURTHER_OUT = {
    "latency_mean": "latency_p90",
    "latency_p50": "latency_p90",
    "latency_p90": "latency_p99",
    "latency_p95": "latency_p99",
}


def _as_shown(
    rng: np.random.Generator, signals: dict[str, Floats], views: Ints, hidden: Floats
) -> dict[str, Floats]:
    """What each node shows: its own signals or, for an address, those of the service behind it.

    At an address calls take a little longer, only one caller's calls are counted, and the share `hidden` (S,)
    of errors and latency that the service itself doesn't show is visible.  → {signal: (S, T0 + T)}
    """
    address = views != np.arange(len(views))
    if not address.any():
        return signals
    own = {name: values[views] for name, values in signals.items()}
    # An affected caller sees it in the median, while all callers together see it in the tail, …
    hit = (address & (rng.random(len(views)) < 0.6))[:, None]
    for name, tail in _FURTHER_OUT.items():
        if name in own and tail in own:
            own[name] = np.where(hit, signals[tail][views], own[name])
    # … and more strongly, because other callers' calls don't dilute it.
    harder = np.where(hit[:, 0], np.exp(rng.uniform(0.0, 1.5, len(views))), 1.0)
    harder = np.where(address, harder / (1.0 - hidden[views]), harder)[:, None]
    farther, fewer = rng.uniform(1.0, 1.6, len(views)), rng.uniform(0.2, 1.0, len(views))
    fewer /= np.maximum(np.bincount(views[address], minlength=len(views))[views], 1)
    for name, values in own.items():
        blur = np.exp(rng.normal(0.0, 0.06, values.shape))
        if name.startswith("latency"):
            usual = np.nanmin(np.where(np.isnan(values), np.inf, values), axis=1, keepdims=True)
            values = usual + harder * (values - usual)
        factor = farther[:, None] if name.startswith("latency") else 1.0
        factor = fewer[:, None] if name == "traffic" else factor
        if name == "error":
            factor = rng.uniform(0.6, 6.0, len(views))[:, None] / (1.0 - hidden[views])[:, None]
        seen = values * factor * blur
        seen = np.minimum(seen, 1.0) if name in SHARES else seen
        own[name] = np.where(address[:, None], seen, values)
    return own


def _incident(
    rng: np.random.Generator,
    incident_id: str,
    window: Window,
    world: Seen,
    signals: dict[str, Floats],
    hidden: Floats,
    gaps: SimulationConfig,
) -> Incident:
    topology, faults, naming = world.topology, world.faults, world.naming
    roots = [fault.service for fault in faults]
    size = len(topology.names)
    blind = rng.random(size) < gaps.missing_service
    for root in roots:
        # A root cause with neither metrics nor callers could not be found.
        blind[root] = bool((topology.callees == root).any()) and rng.random() < gaps.blind_root
    measured = _measured(rng, naming, signals, blind, gaps)
    telemetry: dict[str, dict[str, Series]] = {}
    alerts: tuple[AlertEvent, ...] = ()
    if window.kind == "alerts":
        alerts = alert_events(rng, topology, measured, signals, window.baseline, roots, blind, hidden)
    else:
        telemetry = _telemetry(topology, measured, window.baseline)
    calls = {}
    if window.kind == "series" and rng.random() < gaps.call_telemetry:
        calls = _call_telemetry(rng, window, topology, signals, hidden)
    page = (
        page_of(rng, window, topology, signals)
        if window.kind == "series" and rng.random() < gaps.paged
        else None
    )
    return Incident(
        incident_id=incident_id,
        services=topology.names,
        call_graph=_observed_graph(rng, topology) if window.kind == "alerts" else topology.call_graph,
        telemetry=telemetry,
        call_telemetry=calls,
        alerts=alerts,
        page=page,
        system=f"simulated-{naming.name}-{window.kind}",
        root_causes=tuple(topology.names[root] for root in roots),
        fault="+".join(fault.family.name for fault in faults),
    )


def _observed_graph(rng: np.random.Generator, topology: Topology) -> dict[str, list[str]]:
    """The call graph as traces show it, sometimes without direction."""
    graph = topology.call_graph
    if rng.random() < 0.5:
        return graph
    both = {name: dict.fromkeys(callees) for name, callees in graph.items()}
    for caller, callees in graph.items():
        for callee in callees:
            both[callee][caller] = None
    return {name: list(neighbours) for name, neighbours in both.items()}


def _measured(
    rng: np.random.Generator,
    naming: MetricNaming,
    signals: dict[str, Floats],
    blind: Bools,
    gaps: SimulationConfig,
) -> list[Measured]:
    """The metrics of this system, with gaps."""
    metrics = [m for m in naming.metrics if rng.random() > 0.12] or list(naming.metrics)
    have = rng.random((len(blind), len(metrics))) >= gaps.missing_metric * (rng.random() < 0.5)
    holes = rng.uniform(0.02, 0.2) if rng.random() < gaps.missing_point else 0.0
    measured = []
    for column, metric in enumerate(metrics):
        values = metric.offset + metric.factor * signals[metric.signal]
        if holes:
            values = np.where(rng.random(values.shape) < holes, np.nan, values)
        known = have[:, column] & ~blind & ~np.isnan(values).all(axis=1)
        measured.append(Measured(metric.name, values, known))
    return measured


def _telemetry(topology: Topology, measured: Sequence[Measured], split: int) -> dict[str, dict[str, Series]]:
    telemetry: dict[str, dict[str, Series]] = {name: {} for name in topology.names}
    for metric in measured:
        for i in np.flatnonzero(metric.known).tolist():
            row = metric.values[i]
            telemetry[topology.names[i]][metric.name] = Series(row[split:], row[:split])
    return telemetry


def _call_telemetry(
    rng: np.random.Generator,
    window: Window,
    topology: Topology,
    signals: dict[str, Floats],
    hidden: Floats,
) -> dict[tuple[str, str], dict[str, Series]]:
    """Each call as its caller measures it, by a mesh or by traces, including what the callee doesn't show."""
    split = window.baseline
    calls = {}

    def seen(values: Floats, callee: int) -> Floats:
        usual = float(np.nanmean(values[:split])) if np.isfinite(values[:split]).any() else 0.0
        return np.concatenate([values[:split], as_callers_see(values[split:], usual, hidden[callee])])

    for caller, callee in zip(topology.callers.tolist(), topology.callees.tolist(), strict=True):
        latency = seen(signals["latency_p99"][callee], callee) * rng.uniform(0.95, 1.1)
        error = np.minimum(seen(signals["error"][callee], callee), 1.0)
        pair = (topology.names[caller], topology.names[callee])
        calls[pair] = {
            "latency_p99": Series(latency[split:], latency[:split]),
            "error_rate": Series(error[split:], error[:split]),
        }
    return calls


def page_of(
    rng: np.random.Generator, window: Window, topology: Topology, signals: dict[str, Floats]
) -> Page | None:
    """A page about the worst entry service, by latency or availability; None if none is bad enough."""
    edge = np.flatnonzero(topology.entries)
    if len(edge) == 0:
        return None
    split = window.baseline
    latency, error = signals["latency_p99"][edge], signals["error"][edge]
    usual = np.nan_to_num(np.nanmean(np.nan_to_num(latency[:, :split]), axis=1), nan=1.0) + 1e-6
    slower = np.nan_to_num(latency[:, split:]).mean(axis=1) / usual - 1.0
    failing = (error[:, split:].mean(axis=1) - error[:, :split].mean(axis=1)) * 20.0
    worst = int(np.argmax(np.maximum(slower, failing)))
    if max(slower[worst], failing[worst]) < 0.2:
        return None
    kind = "latency" if slower[worst] >= failing[worst] else "availability"
    return Page(topology.names[int(edge[worst])], kind if rng.random() < 0.8 else None)
