"""Draws the faults of a simulated world: which, when, how strong, and with which side effects.

Shapes: S services, D drives.
"""

from collections.abc import Sequence

import numpy as np

from data.arrays import Floats, Ints
from data.faults.drives import Drive
from data.faults.families import fault_families
from data.simulator.active_faults import DRIVES, RunningFault
from data.simulator.batch.assemble import Window
from data.simulator.batch.measurement_profile import Profile
from data.simulator.config import SIMPLE_FAMILIES, SimulationConfig
from data.simulator.topology import Topology

# Faults that fault injectors produce.
INJECTED = (
    "cpu_stress",
    "memory_stress",
    "packet_loss",
    "network_delay",
    "instance_lost",
    "uncaught_exception",
)
# Side effects at the root cause, whatever its fault: the largest value of each drive.
_BESIDE = {
    Drive.CPU: 0.5,
    Drive.MEMORY: 0.4,
    Drive.SATURATION: 0.4,
    Drive.DISK: 0.3,
    Drive.NETWORK: 0.2,
    Drive.SILENCE: 0.95,
    Drive.RESTARTS: 1.0,
    Drive.LOGS: 0.8,
    Drive.CLIENT: 1.0,
}


def faults_of(
    rng: np.random.Generator,
    config: SimulationConfig,
    topology: Topology,
    views: Ints,
    profile: Profile,
    window: Window,
) -> tuple[RunningFault, ...]:
    """Draws the faults of one world: none, one, or sometimes two."""
    if rng.random() < config.healthy:
        return ()
    size = len(topology.names)
    asked = profile.requests_per_s * 60.0 * window.minutes
    busy = np.flatnonzero((asked > 5.0) & (views == np.arange(size)))
    if len(busy) == 0:
        return ()
    count = 2 if rng.random() < config.second_root and size >= 6 else 1
    # With slow sampling faults are slower, too, so that most show within a few points.
    pace = (0.5 / window.minutes) ** 0.7
    # Snapshots mostly have the environment's own faults; all others are equally rare.
    injected = {"snapshot": 0.0, "series": config.injected, "alerts": config.injected_alerts}[window.kind]
    faults = []
    for service in rng.choice(busy, min(count, len(busy)), replace=False).tolist():
        draw = rng.random()
        if window.kind == "snapshot" and draw < 0.5:
            known = [fault_families()[name] for name in SIMPLE_FAMILIES]
        elif draw < injected:
            known = [fault_families()[name] for name in INJECTED]
        else:
            known = list(fault_families().values())
        fits = [f for f in known if not f.kinds or topology.kinds[service] in f.kinds]
        family = fits[int(rng.integers(len(fits)))]
        # The environment's own faults run one to two times as fast as the slowest.
        middle, spread = (0.35, 0.35) if window.kind == "snapshot" else (0.1, 0.7)
        own_pace = pace * float(np.exp(rng.normal(middle, spread)))
        strength = _strength(rng, window)
        beside = _beside(rng) if window.kind != "snapshot" and rng.random() < config.side_effects else None
        faults.append(RunningFault(family, service, own_pace, strength, beside))
    return tuple(faults)


def date(
    rng: np.random.Generator, config: SimulationConfig, fault: RunningFault, window: Window, unseen: int
) -> None:
    """Draws when a fault begins and whether it ends by itself; `unseen` points precede the window."""
    # Some are seen the moment they begin, others late.
    youngest, patience = (0.4, 1.0) if window.kind == "snapshot" else (1.0, 3.0)
    age = min(youngest + rng.exponential(patience), unseen + window.points - 0.5)
    if window.kind == "snapshot" and rng.random() < config.watched:
        age = float(window.points)
    elif window.kind == "alerts":
        age = min(window.points * float(rng.uniform(0.6, 1.2)), unseen + window.points - 0.5)
    fault.minutes = -(unseen + window.points - age) * window.minutes
    if window.kind == "series" and rng.random() < config.passing:
        fault.lasts_minutes = float(rng.uniform(0.5, 1.0)) * age * window.minutes


def date_changes(rng: np.random.Generator, profile: Profile, faults: Sequence[RunningFault]) -> None:
    """Gives services whose fault comes from a change a recent change."""
    for fault in faults:
        if fault.family.change == "deploy":
            profile.deploy_age_s[fault.service] = rng.uniform(30.0, 600.0)
        elif fault.family.change == "config":
            profile.config_age_s[fault.service] = rng.uniform(20.0, 300.0)


def _beside(rng: np.random.Generator) -> Floats:
    """Side effects on up to three resources, because real faults seldom affect just one thing.  → (D,)"""
    beside = np.zeros(DRIVES)
    for drive in rng.choice(list(_BESIDE), int(rng.integers(1, 4)), replace=False).tolist():
        beside[drive] = _BESIDE[Drive(drive)] * rng.uniform(0.3, 1.0)
    beside[Drive.RESTARTS] = float(beside[Drive.RESTARTS] > 0.0)
    return beside


def _strength(rng: np.random.Generator, window: Window) -> Floats:
    """How strong a fault is on each drive, from hardly noticeable to overwhelming.  → (D,)"""
    if window.kind == "snapshot":
        strength = np.exp(rng.normal(0.0, 0.3, DRIVES))
    else:
        strength = np.exp(rng.normal(-0.1, 0.7) + rng.normal(0.0, 0.7, DRIVES))
        strength[rng.random(DRIVES) < 0.1] = 0.0
        strength[rng.integers(4)] += 0.3
    strength[Drive.RESTARTS] = 1.0
    return strength
