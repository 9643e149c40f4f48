"""Generates labelled incidents by the thousand: many worlds in one simulation, with varied metric names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.arrays import Floats, Ints
from data.incident import Incident
from data.simulator.active_faults import RunningFault, drives, hidden_shares
from data.simulator.batch.assemble import Seen, Window, assemble_incidents
from data.simulator.batch.fault_sampling import date, date_changes, faults_of
from data.simulator.batch.measurement_profile import Profile, draw_profile, joined
from data.simulator.batch.metric_naming import MetricNaming, metric_namings
from data.simulator.batch.variants import diluted, replicate, with_client_views
from data.simulator.config import SimulationConfig
from data.simulator.load import PERIOD_TICKS, wave
from data.simulator.names import roles, stand_ins
from data.simulator.physics import TOLERANCE, Fleet, Physics, State
from data.simulator.topology import Topology, connect_services, from_calls, generate, union

_WORLDS_A_TOPOLOGY = 3  # worlds per call graph, each with its own faults and telemetry


@dataclass(frozen=True, eq=False)
class Plan:
    """One world before it runs."""

    topology: Topology
    fleet: Fleet
    profile: Profile
    views: Ints  # (S,) the service behind each node; a real service is behind itself
    faults: tuple[RunningFault, ...]
    naming: MetricNaming
    demand: float
    tolerance: float  # share of failed calls that callers tolerate
    think_s: float  # pause of a user between an answer and the next request; infinite: users don't wait


def run(
    topology: Topology,
    fleet: Fleet,
    faults: Sequence[RunningFault],
    minutes: float,
    ticks: int,
    demand: Floats | None = None,  # (ticks, S)
    tolerance: Floats | float = TOLERANCE,  # scalar or (S,)
    think_s: Floats | float = np.inf,  # scalar or (S,)
) -> list[State]:
    """Simulates `ticks` ticks; gives the same numbers as the step-by-step environment."""
    physics = Physics(topology, fleet, tolerance, think_s)
    size = len(topology.names)
    hidden = hidden_shares(faults, size)
    states = []
    for tick in range(ticks):
        for fault in faults:
            fault.advance(minutes)
        load = None if demand is None else demand[tick]
        states.append(physics.step(drives(faults, size), hidden, minutes, load))
    return states


def simulate(n: int, seed: int = 0, config: SimulationConfig | None = None) -> Iterator[Incident]:
    """Yields `n` labelled incidents; the same seed gives the same incidents."""
    config = config or SimulationConfig()
    made = 0
    chunk = 0
    while made < n:
        rng = np.random.default_rng(np.random.SeedSequence([seed, chunk]))
        worlds = min(config.worlds_at_once, n - made)
        yield from _chunk(rng, config, worlds, f"sim-{seed}-{chunk}")
        made += worlds
        chunk += 1


def topology_key(incident_id: str) -> str | None:
    """A key that simulated incidents with the same call graph share; None for other ids."""
    name, _, number = incident_id.rpartition("-")
    if not name.startswith("sim-") or not number.isdigit():
        return None
    return f"{name}-{int(number) // _WORLDS_A_TOPOLOGY}"


def _chunk(rng: np.random.Generator, config: SimulationConfig, worlds: int, name: str) -> list[Incident]:
    """Simulates several worlds with the same shape of window."""
    draw = rng.random()
    if draw < config.snapshots:
        points = 1 if rng.random() < config.first_looks else int(rng.integers(1, 6))
        window = Window("snapshot", baseline=0, points=points, minutes=0.5)
    else:
        window = Window(
            kind="alerts" if draw < config.snapshots + config.alerts else "series",
            baseline=int(rng.choice([6, 10, 20, 30, 30, 60])),
            points=int(rng.integers(1, 11)),
            minutes=float(rng.choice([0.25, 0.5, 1.0, 1.0, 1.0, 5.0])),
        )
    plans = _plans(rng, config, worlds, window)
    topology = union([plan.topology for plan in plans])
    fleet = joined([plan.fleet for plan in plans])
    sizes = [len(plan.topology.names) for plan in plans]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    faults = []
    for plan, offset in zip(plans, offsets.tolist(), strict=False):
        for fault in plan.faults:
            fault.service += offset
            faults.append(fault)
    unseen = int(rng.integers(1, 9)) if window.kind == "snapshot" else int(rng.integers(0, 3))
    for fault in faults:
        date(rng, config, fault, window, unseen)
    season = _season(rng, sizes, window.baseline + unseen + window.points)
    shift = np.repeat([plan.demand for plan in plans], sizes)
    load = season[window.baseline :] * shift
    tolerance = np.repeat([plan.tolerance for plan in plans], sizes)
    ticks = unseen + window.points
    think_s = np.repeat([plan.think_s for plan in plans], sizes)
    states = run(topology, fleet, faults, window.minutes, ticks, load, tolerance, think_s)[unseen:]
    seen = np.delete(season, slice(window.baseline, window.baseline + unseen), axis=0)
    size = len(topology.names)
    rest = Physics(topology, fleet).step(drives((), size), np.zeros(size), window.minutes)
    for fault in faults:
        fault.service -= int(offsets[np.searchsorted(offsets, fault.service, side="right") - 1])
    hidden = np.concatenate([hidden_shares(p.faults, s) for p, s in zip(plans, sizes, strict=True)])
    return assemble_incidents(
        rng=rng,
        name=name,
        window=window,
        worlds=[Seen(p.topology, p.views, p.faults, p.naming) for p in plans],
        whole=topology,
        fleet=fleet,
        profile=joined([plan.profile for plan in plans]),
        states=states,
        rest=rest,
        hidden=hidden,
        season=seen,
        gaps=config,
    )


def _plans(rng: np.random.Generator, config: SimulationConfig, worlds: int, window: Window) -> list[Plan]:
    plans: list[Plan] = []
    shared: Topology | None = None
    for world in range(worlds):
        if shared is None or world % _WORLDS_A_TOPOLOGY == 0:
            shared = _topology(rng, config, window)
        topology, views = shared, np.arange(len(shared.names))
        naming = _naming(rng, window)
        often = 3.0 if naming.name == "xray" else 1.0
        if window.kind == "series" and rng.random() < often * config.client_views:
            topology, views = with_client_views(topology, rng, float(rng.uniform(0.1, 0.5)))
        size = len(topology.names)
        fleet = draw_fleet(rng, size, like_the_environment=window.kind == "snapshot" and rng.random() < 0.97)
        idle = float(rng.choice([0.0, 0.0, 0.1, 0.3, 0.5])) if window.kind == "series" else 0.0
        restless = 0.0 if window.kind == "snapshot" else float(rng.choice([0.0, 0.03, 0.1, 0.2]))
        # Some environments measure without any noise.
        exact = window.kind == "snapshot" and rng.random() < 0.5
        # Alerts summarise minutes of readings, which are steadier than a single one.
        wobble = 0.0 if exact else float(rng.uniform(0.1, 1.2 if window.kind == "alerts" else 2.0))
        drifts = window.kind != "snapshot" and rng.random() < config.drifts
        drift = float(rng.choice([0.02, 0.06, 0.15])) if drifts else 0.0
        profile = draw_profile(rng, size, window.minutes, wobble, idle, restless, drift)
        if window.kind == "snapshot":
            profile.error_floor[:] = fleet.error_rate
        faults = faults_of(rng, config, topology, views, profile, window)
        date_changes(rng, profile, faults)
        shifted = rng.random() < config.load_shift
        demand = float(rng.choice([0.5, 0.7, 1.4, 2.0])) if shifted else 1.0
        tolerance = TOLERANCE if window.kind == "snapshot" else float(rng.choice([0.0, 0.05, TOLERANCE]))
        think_s = np.inf
        if window.kind == "series" and rng.random() < config.closed:
            think_s = float(np.median(fleet.latency_s) * np.exp(rng.uniform(0.0, 4.0)))
        plans.append(Plan(topology, fleet, profile, views, faults, naming, demand, tolerance, think_s))
    return plans


def _naming(rng: np.random.Generator, window: Window) -> MetricNaming:
    known = metric_namings()
    if window.kind == "snapshot":
        return known["firewatch"]
    # The poorest and the richest vocabularies are drawn more often; few systems give alert events.
    drawn = [*known, "pods", "xray"] if window.kind == "series" else ["pods", "mesh", "docker"]
    return known[drawn[int(rng.integers(len(drawn)))]]


def _topology(rng: np.random.Generator, config: SimulationConfig, window: Window) -> Topology:
    waiting = float(rng.uniform(0.2, 1.0))
    if window.kind == "snapshot" and rng.random() < 0.6:
        size = int(rng.integers(3, 11))
        names = [str(n) for n in rng.choice(sorted(roles()), size, replace=False)]
        kinds = [roles()[n].kind for n in names]
        return from_calls(names, kinds, connect_services(names, kinds, rng), rng, waiting, stand_ins(names))
    size = int(np.exp(rng.uniform(np.log(3), np.log(max(4, config.most_services)))))
    topology = generate(rng, max(3, size), waiting)
    if rng.random() < 0.7:
        topology = diluted(topology, rng, float(rng.uniform(0.2, 1.0)))
    if window.kind != "snapshot" and size <= 15 and rng.random() < 0.35:
        return replicate(topology, rng)
    return topology


def draw_fleet(rng: np.random.Generator, size: int, like_the_environment: bool) -> Fleet:
    """Draws one world's services in health."""
    if like_the_environment:
        latency = rng.uniform(0.05, 0.15, size)
        scale = np.ones(size)
        error = rng.uniform(0.001, 0.02, size)
        error[rng.random(size) < rng.choice([0.0, 0.2, 0.4])] = rng.uniform(0.05, 0.09)
    else:
        latency = np.exp(rng.normal(np.log(0.08) + rng.normal(0.0, 1.0), 0.9, size))
        scale = (latency / 0.1) ** rng.uniform(0.1, 1.0)
        error = np.full(size, 0.005)
    return Fleet(
        error_rate=error,
        latency_s=latency,
        cpu=rng.beta(1.5, 6.0, size) if not like_the_environment else rng.uniform(0.1, 0.2, size),
        memory=rng.beta(3.0, 5.0, size) if not like_the_environment else rng.uniform(0.25, 0.4, size),
        active_requests=rng.uniform(30.0, 111.0, size),
        descriptors=rng.uniform(80.0, 161.0, size),
        memory_limit_bytes=np.full(size, 2.0**30),
        latency_scale=scale,
    )


def _season(rng: np.random.Generator, sizes: Sequence[int], ticks: int) -> Floats:
    """The usual traffic over time, the same wave for all services of a world.  → (ticks, S)"""
    time = np.arange(ticks, dtype=np.float64)[:, None]
    worlds = len(sizes)
    size = rng.choice([0.0, 0.05, 0.2], worlds)
    period = rng.uniform(*PERIOD_TICKS, worlds)
    phase = rng.uniform(0.0, 2.0 * np.pi, worlds)
    return np.repeat(wave(size, period, phase, time), sizes, axis=1)
