"""Generates labelled incidents of a real system by adding simulated faults to its own healthy series.

The call graph, metrics, noise, gaps and seasonality are real; only the effect of the fault is simulated.

Shapes: S services, T ticks, D drives.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.arrays import Floats
from data.channels import ChannelMap, default_channel_map
from data.incident import Incident, Page, Series
from data.simulator.active_faults import RunningFault, as_callers_see, drives, hidden_shares
from data.simulator.batch.assemble import Window, page_of
from data.simulator.batch.effects import Effect, moves, signal_of
from data.simulator.batch.fault_sampling import date, date_changes, faults_of
from data.simulator.batch.generate import draw_fleet, run
from data.simulator.batch.healthy import HealthyWindow, Rows, WindowSlice
from data.simulator.batch.measurement_profile import draw_profile
from data.simulator.batch.signals import truth
from data.simulator.batch.variants import diluted
from data.simulator.config import SimulationConfig
from data.simulator.physics import TOLERANCE, Fleet, Physics
from data.simulator.topology import CALLED_BY_ALL, Topology, from_calls

_ANOTHER_TIME = 0.3  # chance that baseline and incident come from different windows
_LONG_AGO_S = 1e12  # older than any change that matters
_BUSY = 1e6  # requests between two readings: enough that counting adds no noise
_LEAVES = (*CALLED_BY_ALL, "service", "service")  # possible kinds of a service without callees


def overlay(
    windows: Sequence[HealthyWindow],
    n: int,
    seed: int = 0,
    channel_map: ChannelMap | None = None,
    config: SimulationConfig | None = None,
    strength: float = 1.0,
) -> Iterator[Incident]:
    """Yields `n` labelled incidents; the same windows and seed give the same incidents.

    Args:
        windows: at least one, of one or more systems; each incident uses one system's.
        n: number of incidents.
        seed: of the random numbers.
        channel_map: how metric names are read; None for the default rules.
        config: how often there is no fault, two faults, a passing fault, or a known page.
        strength: factor on the effects of faults; 0 for none.
    """
    means = channel_map or default_channel_map()
    config = config or SimulationConfig()
    for number in range(n):
        rng = np.random.default_rng(np.random.SeedSequence([seed, number]))
        window = windows[int(rng.integers(len(windows)))]
        cut = WindowSlice.draw(rng, window.longest)
        calm = _Calm.draw(rng, windows, window, cut)
        struck = _strike(rng, config, window, cut.points, strength)
        telemetry, calls = _laid_over(rng, struck, window, calm, means)
        yield Incident(
            incident_id=f"overlay-{seed}-{number}",
            services=window.incident.services,
            call_graph=window.incident.call_graph,
            telemetry=dict(zip(window.incident.services, telemetry, strict=True)),
            call_telemetry=calls,
            page=struck.page,
            system=window.incident.system,
            root_causes=tuple(window.incident.services[fault.service] for fault in struck.faults),
            fault="+".join(fault.family.name for fault in struck.faults),
        )


@dataclass(frozen=True, eq=False)
class _Struck:
    """The simulated faults of a system, and their signals."""

    faults: tuple[RunningFault, ...]
    signals: Mapping[str, Floats]  # {signal: (1 + T, S)}: at rest, then tick by tick
    of_calls: Mapping[str, Floats]  # likewise, for calls to each service as its callers see them
    page: Page | None


def _strike(
    rng: np.random.Generator, config: SimulationConfig, window: HealthyWindow, points: int, strength: float
) -> _Struck:
    """Simulates faults at random services of the system, with its real call graph and measured levels."""
    shape = Window("series", baseline=1, points=points, minutes=float(rng.choice([0.25, 0.5, 1.0, 1.0, 5.0])))
    topology = _topology(rng, window)
    size = len(topology.names)
    fleet = _fleet(rng, window)
    profile = draw_profile(rng, size, shape.minutes, wobble=0.0, idle_share=0.0, restless=0.0)
    far = np.full(size, _LONG_AGO_S)
    profile = replace(
        profile,
        requests_per_s=np.full(size, _BUSY / (60.0 * shape.minutes)),
        deploy_age_s=far.copy(),
        config_age_s=far.copy(),
        uptime_s=far,
    )
    # A faulty service must be noticeable: it needs metrics or callers, and requests.
    called = np.bincount(topology.callees, minlength=size) > 0
    found = called | np.array([bool(row) for row in window.telemetry])
    asked = replace(profile, requests_per_s=np.where(found & ~window.idle, profile.requests_per_s, 0.0))
    faults = faults_of(rng, config, topology, np.arange(size), asked, shape)
    unseen = int(rng.integers(0, 3))
    for fault in faults:
        date(rng, config, fault, shape, unseen)
        fault.strength = None if fault.strength is None else strength * fault.strength
        fault.beside = None if fault.beside is None else strength * fault.beside
    if strength > 0.0:
        date_changes(rng, profile, faults)
    tolerance = float(rng.choice([0.0, 0.05, TOLERANCE]))
    states = run(topology, fleet, faults, shape.minutes, unseen + points, tolerance=tolerance)[unseen:]
    rest = Physics(topology, fleet).step(drives((), size), np.zeros(size), shape.minutes)
    true, unserved = truth(rng, states, rest, fleet, profile, np.ones((1 + points, size)), shape.minutes)
    signals = moves(true, unserved)
    hidden = hidden_shares(faults, size)
    of_calls = dict(signals)
    for name in ("error", *(name for name in signals if name.startswith("latency"))):
        of_calls[name] = as_callers_see(signals[name], signals[name][0], hidden)
    of_calls["error"] = np.minimum(of_calls["error"], 1.0)
    shown = {name: signals[name].T for name in ("error", "latency_p99")}
    page = page_of(rng, shape, topology, shown) if rng.random() < config.paged else None
    return _Struck(faults, signals, of_calls, page)


def _topology(rng: np.random.Generator, window: HealthyWindow) -> Topology:
    """The system's own graph, with random kinds and waiting, because names don't tell them."""
    services = window.incident.services
    position = {name: number for number, name in enumerate(services)}
    calls = [
        (position[caller], position[callee])
        for caller, callees in window.incident.call_graph.items()
        for callee in callees
        if caller != callee
    ]
    calling, called = {caller for caller, _ in calls}, {callee for _, callee in calls}
    drawn = rng.integers(len(_LEAVES), size=len(services)).tolist()
    kinds = [
        ("service" if number in called else "gateway")
        if number in calling
        else (_LEAVES[drawn[number]] if number in called else "service")
        for number in range(len(services))
    ]
    topology = from_calls(services, kinds, calls, rng, float(rng.uniform(0.2, 1.0)))
    return diluted(topology, rng, float(rng.uniform(0.2, 1.0))) if rng.random() < 0.7 else topology


def _fleet(rng: np.random.Generator, window: HealthyWindow) -> Fleet:
    """Like any simulated world's, but with measured relative latency, cpu and memory, if known."""
    drawn = draw_fleet(rng, len(window.incident.services), like_the_environment=False)
    own = np.median(drawn.latency_s) * np.clip(window.latency, 0.01, 100.0)
    latency = np.where(np.isfinite(own), own, drawn.latency_s)
    return replace(
        drawn,
        latency_s=latency,
        latency_scale=(latency / 0.1) ** rng.uniform(0.1, 1.0),
        cpu=np.where(np.isfinite(window.cpu), np.clip(window.cpu, 0.005, 0.95), drawn.cpu),
        memory=np.where(np.isfinite(window.memory), np.clip(window.memory, 0.005, 0.95), drawn.memory),
    )


@dataclass(frozen=True, eq=False)
class _Calm:
    """Where an incident's healthy points come from."""

    cut: WindowSlice
    another: HealthyWindow | None  # of the same system
    position: Mapping[str, int]  # of its services
    rather: bool  # take the incident's points from the other window
    when: float  # where in that window, 0..1

    @staticmethod
    def draw(
        rng: np.random.Generator, windows: Sequence[HealthyWindow], window: HealthyWindow, cut: WindowSlice
    ) -> "_Calm":
        system = window.incident.system
        others = [other for other in windows if other is not window and other.incident.system == system]
        pick, rather, when = (
            int(rng.integers(max(len(others), 1))),
            rng.random() < _ANOTHER_TIME,
            rng.random(),
        )
        another = others[pick] if others else None
        services = another.incident.services if another else ()
        return _Calm(cut, another, {name: i for i, name in enumerate(services)}, rather, float(when))

    def elsewhere(self, service: str) -> Rows:
        """The service's metrics in the other window."""
        number = self.position.get(service)
        return {} if self.another is None or number is None else self.another.telemetry[number]

    def series(self, points: Floats, other: Floats | None) -> tuple[Floats, Floats] | None:
        """Baseline and incident of a series; None for a single point without anything to compare it with."""
        start, split, end = self.cut.of(len(points))
        if other is None or not len(other) or not (self.rather or len(points) < 2):
            return (points[start:split], points[split:end]) if len(points) >= 2 else None
        length = min(end - split, len(other))
        first = int(self.when * (len(other) - length + 1))
        past = points[start:split] if len(points) >= 2 else points
        return past, other[first : first + length]


def _laid_over(
    rng: np.random.Generator, struck: _Struck, window: HealthyWindow, calm: _Calm, means: ChannelMap
) -> tuple[list[dict[str, Series]], dict[tuple[str, str], dict[str, Series]]]:
    """The telemetry of services and calls with the fault's effects."""
    effects: dict[str, Effect] = {}
    of_calls: dict[str, Effect] = {}
    for name in sorted(window.kinds):
        loudness = float(rng.random())
        if (meaning := means(name)) is not None:
            signal = signal_of(name, meaning)
            for found, signals in ((effects, struck.signals), (of_calls, struck.of_calls)):
                values, kind = signals[signal], window.kinds[name]
                found[name] = Effect(
                    replace(meaning, scale=kind.scale), kind, values[0], values[1:], loudness
                )

    def laid(row: Rows, other: Rows, service: int, known: Mapping[str, Effect]) -> dict[str, Series]:
        parts = {name: calm.series(points, other.get(name)) for name, points in row.items()}
        changed = {}
        for name, part in parts.items():
            if part is None:
                continue
            past, now = part
            if effect := known.get(name):
                whole = parts.get(effect.per)
                counted = whole[1] if whole is not None and len(whole[1]) == len(now) else None
                now = effect(service, now, counted)
            changed[name] = Series(now, past)
        return changed

    position = {name: number for number, name in enumerate(window.incident.services)}
    telemetry = [
        laid(row, calm.elsewhere(name), position[name], effects)
        for name, row in zip(window.incident.services, window.telemetry, strict=True)
    ]
    others = calm.another.calls if calm.another else {}
    calls = {
        pair: laid(row, others.get(pair, {}), position[pair[1]], of_calls)
        for pair, row in window.calls.items()
        if pair[1] in position
    }
    return telemetry, calls
