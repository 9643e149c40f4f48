"""Sets up one incident: services, faults and red herrings."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.faults.families import fault_families
from data.observation import Difficulty
from data.simulator.active_faults import RunningFault
from data.simulator.config import CONFIGS, Script, WorldConfig
from data.simulator.load import Load, draw_load
from data.simulator.names import roles, stand_ins
from data.simulator.physics import Fleet
from data.simulator.topology import Topology, connect_services, from_calls, generate

USER_FACING = ("api-gateway", "checkout-service")
_MIB = 2**20
_MOST_KNOWN = 24  # larger worlds have made-up services


@dataclass(frozen=True, eq=False)
class Setup:
    """A world at its start."""

    config: WorldConfig
    topology: Topology
    fleet: Fleet
    faults: tuple[RunningFault, ...]
    red_herrings: tuple[int, ...]
    user_facing: tuple[int, ...]
    load: Load  # traffic from outside
    rng: np.random.Generator  # for all further random numbers


def seeded(difficulty: str, seed: int, task_id: str | None) -> np.random.Generator:
    """The random numbers of a task, the same in every process."""
    salt = zlib.crc32(f"{difficulty}/{task_id or ''}".encode())
    return np.random.default_rng(np.random.SeedSequence([seed & 0xFFFF_FFFF_FFFF_FFFF, salt]))


def healthy_fleet(rng: np.random.Generator, services: int) -> Fleet:
    """Services like the original environment's: about 0.1 s, 1 % errors, a third of memory."""
    return Fleet(
        error_rate=rng.uniform(0.001, 0.02, services),
        latency_s=rng.uniform(0.05, 0.15, services),
        cpu=rng.uniform(0.10, 0.20, services),
        memory=rng.uniform(0.25, 0.40, services),
        active_requests=rng.integers(30, 111, services).astype(np.float64),
        descriptors=rng.integers(80, 161, services).astype(np.float64),
        memory_limit_bytes=rng.choice([256, 512, 1024, 2048], services) * float(_MIB),
        latency_scale=np.ones(services),
    )


def set_up(
    difficulty: Difficulty, seed: int, task_id: str | None = None, script: Script | None = None
) -> Setup:
    """Draws a world; `script` is the fixed part of a catalogue task."""
    script = script or Script()
    config = replace(CONFIGS[difficulty], **script.dials)
    rng = seeded(difficulty, seed, task_id)
    topology = _choose_topology(rng, config, script)
    names, size = topology.names, len(topology.names)
    fleet = healthy_fleet(rng, size)
    faults = _choose_faults(rng, config, topology, script)
    roots = {fault.service for fault in faults}

    others = [i for i in range(size) if i not in roots]
    herrings = rng.choice(others, min(config.red_herrings, len(others)), replace=False).tolist()
    user_facing = [i for i, name in enumerate(names) if name in USER_FACING] or [
        i for i, entry in enumerate(topology.entries.tolist()) if entry
    ]
    degraded = {i for i in herrings if i not in user_facing and rng.random() < config.degraded_herrings}
    for i in herrings:
        fleet.error_rate[i] = rng.uniform(0.05, 0.09)
    for i in sorted(degraded):
        fleet.error_rate[i] = rng.uniform(0.11, 0.25)
        fleet.latency_s[i] = rng.uniform(0.3, 1.2)
    factor = float(rng.choice([0.6, 1.3, 1.6])) if rng.random() < config.load_shift else 1.0
    since = int(rng.integers(0, 6))
    # A separate stream, so that seasonality doesn't change the other random numbers.
    swing, period, phase = draw_load(rng.spawn(1)[0], config.seasonality)
    return Setup(
        config=config,
        topology=topology,
        fleet=fleet,
        faults=faults,
        red_herrings=tuple(sorted(herrings)),
        user_facing=tuple(user_facing),
        load=Load(factor, since, swing, period, phase),
        rng=rng,
    )


def _choose_topology(rng: np.random.Generator, config: WorldConfig, script: Script) -> Topology:
    """Well-known services for a small world, made-up ones for a large one."""
    size = max(len(script.services), int(rng.integers(config.services[0], config.services[1] + 1)))
    if size > _MOST_KNOWN:
        return generate(rng, size, config.waiting)
    names = _choose_services(rng, size, script.services)
    kinds = [roles()[name].kind if name in roles() else "service" for name in names]
    return from_calls(
        names, kinds, connect_services(names, kinds, rng), rng, config.waiting, stand_ins(names)
    )


def _choose_services(rng: np.random.Generator, size: int, fixed: Sequence[str]) -> list[str]:
    """The scripted services, then others that call them or that they call."""
    names = list(fixed) or [str(rng.choice(USER_FACING))]
    every = list(roles())
    while len(names) < size:
        near = {callee for name in names if name in roles() for callee in roles()[name].calls}
        near |= {caller for caller, role in roles().items() if set(role.calls) & set(names)}
        pool = [name for name in every if name in near and name not in names]
        if not pool or rng.random() < 0.1:
            pool = [name for name in every if name not in names]
        names.append(str(rng.choice(pool)))
    return names


def _choose_faults(
    rng: np.random.Generator, config: WorldConfig, topology: Topology, script: Script
) -> tuple[RunningFault, ...]:
    pace = config.pace
    if script.faults:
        return tuple(
            RunningFault(fault_families()[family], topology.names.index(service), pace)
            for service, family in script.faults.items()
        )
    size = len(topology.names)
    playable = [name for name, family in fault_families().items() if family.playable]
    faults: list[RunningFault] = []
    for _ in range(2 if rng.random() < config.second_fault and size > 4 else 1):
        family = fault_families()[str(rng.choice(config.families or playable))]
        taken = {fault.service for fault in faults}
        fits = [
            i
            for i, kind in enumerate(topology.kinds)
            if i not in taken and (not family.kinds or kind in family.kinds)
        ]
        if fits:
            faults.append(RunningFault(family, int(rng.choice(fits)), pace))
    if not faults:
        faults.append(RunningFault(fault_families()["bad_deploy"], int(rng.integers(size)), pace))
    return tuple(faults)
