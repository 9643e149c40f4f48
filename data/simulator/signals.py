"""What instruments read of a run: states become signals over time, noisy, seasonal and sometimes absent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.simulator.physics import Fleet, State

Floats = npt.NDArray[np.float64]

# Relative spread of each signal from one reading to the next, before a world's own factor.
SPREAD = {
    "error": 0.3,
    "latency_mean": 0.1,
    "latency_p50": 0.08,
    "latency_p90": 0.12,
    "latency_p95": 0.15,
    "latency_p99": 0.2,
    "own_latency": 0.12,
    "client_error": 0.3,
    "client_latency": 0.2,
    "traffic": 0.1,
    "client_traffic": 0.1,
    "cpu": 0.12,
    "memory": 0.01,
    "memory_bytes": 0.01,
    "saturation": 0.1,
    "queue": 0.2,
    "active": 0.15,
    "descriptors": 0.05,
    "disk": 0.003,
    "net_in": 0.15,
    "net_out": 0.15,
    "net_fault": 0.4,
    "disk_io": 0.25,
    "gc": 0.15,
    "restarts": 0.0,
    "log_errors": 0.5,
    "log_lines": 0.3,
    "log_shift": 0.2,
    "deploy_age": 0.0,
    "config_age": 0.0,
    "uptime": 0.0,
}
# Signals that exist only where requests are served.
NEEDS_REQUESTS = (
    "latency_mean",
    "latency_p50",
    "latency_p90",
    "latency_p95",
    "latency_p99",
    "own_latency",
    "client_latency",
)


@dataclass(frozen=True, eq=False)
class Plant:
    """How the services of a run are measured; each (S,) unless said otherwise."""

    requests_per_s: Floats
    sleeps: Floats  # points between two naps without any request, 0 for who never sleeps
    idle_fails: npt.NDArray[np.bool_]  # availability of a service that nobody asked reads as zero
    median_share: Floats  # healthy p50 as a share of p99
    slow_median: Floats  # how much of what slows the tail slows the median too
    rare: npt.NDArray[np.bool_]  # few requests are hit: the tail and the mean move, median and p90 hardly
    drift: Floats  # steady factor on latency during the incident that has nothing to do with it
    client_drift: Floats  # the same for the calls that it makes
    sick: Floats  # steady share of failures during the incident that has nothing to do with it
    common: Floats  # share of requests that wait for a callee: its slowness may show in the tail only
    wobble: Floats  # factor on every spread
    blips: Floats  # chance of an outlier a reading
    memory_limit_bytes: Floats
    restless: Floats  # chance that a signal moves during the incident for reasons of its own
    error_floor: Floats  # healthy error rate as measured, often exactly 0
    deploy_age_s: Floats  # at the first reading
    config_age_s: Floats
    uptime_s: Floats
    error_logging: Floats  # how much of an ordinary failure shows in the service's own log


def plants(
    rng: np.random.Generator,
    services: int,
    minutes: float,
    wobble: float,
    idle_share: float,
    restless: float,
    drifting: float = 0.0,
) -> Plant:
    """Draws how one world is measured."""
    requests = np.exp(rng.normal(rng.choice([2.0, 2.0, 0.0, -1.0]), 1.5, services))
    # Some are hardly ever asked, some never: a few requests between two readings, or none.
    rare = rng.random(services) < idle_share
    requests[rare] = np.maximum(rng.uniform(-1.0, 4.0, int(rare.sum())), 0.0) / (60.0 * minutes)
    quiet = rng.random(services) < 0.7
    few = bool(rng.random() < 0.25)
    # Other users ask for other things: every path is somewhat slower or faster than before.
    mixed = rng.choice([0.0, 0.0, 0.2, 0.5]) if drifting > 0.0 else 0.0
    mix, client_mix = np.exp(mixed * rng.standard_normal((2, services)))
    drifts = rng.random(services) < drifting
    recent = rng.random((2, services)) < rng.choice([0.0, 0.1, 0.5])  # changes that mean nothing
    return Plant(
        requests_per_s=requests,
        sleeps=np.where(rng.random(services) < 0.7 * idle_share, rng.integers(4, 16, services), 0).astype(
            float
        ),
        idle_fails=np.full(services, rng.random() < 0.3),
        median_share=rng.uniform(0.2, 0.7, services),
        slow_median=np.full(services, rng.uniform(0.0, 0.1) if few else rng.uniform(0.15, 0.95)),
        rare=np.full(services, few),
        drift=mix * np.where(drifts, np.exp(rng.uniform(-0.7, 1.6, services)), 1.0),
        client_drift=client_mix,
        sick=np.where(rng.random(services) < 0.2 * drifting, rng.uniform(0.01, 1.0, services) ** 2, 0.0),
        common=rng.uniform(0.0, 1.0, services) ** rng.choice([0.3, 1.0, 3.0]),
        wobble=wobble * np.exp(rng.normal(0.0, 0.4, services)),
        blips=np.full(services, rng.choice([0.0, 0.01, 0.03])),
        memory_limit_bytes=np.exp2(rng.integers(27, 33, services).astype(np.float64)),
        restless=np.full(services, restless),
        error_floor=np.where(quiet, 0.0, rng.uniform(0.0005, 0.02, services)),
        deploy_age_s=np.where(recent[0], rng.uniform(30.0, 3000.0, services), _old(rng, services)),
        config_age_s=np.where(recent[1], rng.uniform(20.0, 3000.0, services), _old(rng, services)),
        uptime_s=_old(rng, services),
        error_logging=np.full(services, rng.choice([0.0, 0.2, 1.0])),
    )


def _asleep(rng: np.random.Generator, sleeps: Floats, points: int) -> npt.NDArray[np.bool_]:
    """When batch jobs and the like rest, whatever happens elsewhere.  → (T, S)"""
    period = np.maximum(sleeps, 1.0)
    phase = rng.uniform(0.0, period)
    share = rng.uniform(0.2, 0.6, len(sleeps))
    return (sleeps > 0.0) & ((np.arange(points)[:, None] + phase) % period < share * period)


def _logging(rng: np.random.Generator, services: int) -> tuple[Floats, Floats]:
    """Whether what is unusual is written as errors, as lines never seen before, or both: twice (S,)."""
    how = rng.random(services)
    return (how < 0.65).astype(np.float64), (how > 0.35).astype(np.float64)


def _calm_shift(rng: np.random.Generator, before: int, points: int, services: int) -> Floats:
    """How far a healthy service's lines are from the usual: another distance each window.  → (T, S)"""
    usual = rng.uniform(0.1, 1.5, services)
    past = usual * rng.uniform(0.2, 1.8, services)
    now = usual * rng.uniform(0.5, 2.0, services)
    return np.concatenate([np.tile(past, (before, 1)), np.tile(now, (points, 1))])


def _old(rng: np.random.Generator, services: int) -> Floats:
    """Hours to a week, in seconds."""
    return np.exp(rng.uniform(np.log(5_000.0), np.log(605_000.0), services))


def join(parts: Sequence[Plant]) -> Plant:
    """The plants of several worlds as one."""
    names = Plant.__dataclass_fields__
    return Plant(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


class Truth(NamedTuple):
    """The signals of a run before any instrument reads them."""

    signals: dict[str, Floats]  # {signal: (T0 + T, S)}
    unserved: npt.NDArray[np.bool_]  # (T0 + T, S) next to nobody was served


def truth(
    rng: np.random.Generator,
    states: Sequence[State],  # T ticks
    rest: State,  # at rest, for the baseline
    fleet: Fleet,
    plant: Plant,
    season: Floats,  # (T0 + T, S) usual traffic over time, 1 on average
    minutes: float,  # between two readings
) -> Truth:
    """All signals over baseline and incident as they are; of chance, only who asks and what is logged."""
    before = len(season) - len(states)

    def series(name: str) -> Floats:
        calm = np.broadcast_to(getattr(rest, name), (before, len(rest.traffic)))
        return np.concatenate([calm, np.stack([getattr(state, name) for state in states])])

    traffic = series("traffic")
    traffic[:before] *= season[:before]
    slower = series("latency_s") - fleet.latency_s
    busier = 1.0 + 0.15 * np.maximum(traffic - 1.0, 0.0)
    base_s = fleet.latency_s * busier
    error = np.maximum(series("error_rate") - fleet.error_rate, 0.0) + plant.error_floor
    error[before:] += plant.sick
    client_error = series("client_error")
    memory = np.minimum(series("memory"), 1.0)
    saturation = series("saturation")
    cpu = series("cpu")
    cpu[:before] *= 0.3 + 0.7 * season[:before]
    seconds = 60.0 * minutes
    expected = plant.requests_per_s * traffic * seconds
    expected = np.where(_asleep(rng, plant.sleeps, len(season)), 0.0, expected)
    counted = np.where(expected < 100.0, rng.poisson(np.minimum(expected, 100.0)), expected)
    requests = counted / seconds
    unserved = counted < 0.02 * plant.requests_per_s * seconds + 0.5
    restarts = series("restarts")
    passed_s = seconds * np.arange(len(season))[:, None]
    up_s = np.where(restarts > 0.0, np.minimum(plant.uptime_s, 30.0), plant.uptime_s + passed_s)
    loud = plant.error_logging
    calling = series("calling_slower_s")
    waits = series("client_latency_s") - calling
    own = np.maximum(slower - waits, 0.0)

    def slowed(share: Floats | float) -> Floats:
        """Seconds more at a percentile that feels this share of what the tail feels."""
        return own * share + waits * share * plant.common

    share = plant.slow_median
    share90 = np.where(plant.rare, 1.5 * share, np.minimum(share + 0.4, 1.0))
    share95 = np.where(plant.rare, 4.0 * share, np.minimum(share + 0.6, 1.0))
    logged = series("odd_logs")
    as_errors, as_novelty = _logging(rng, len(share))
    signals = {
        "error": error,
        "latency_mean": base_s * (0.2 + 0.7 * plant.median_share) + slowed(np.maximum(share, 0.1)),
        "latency_p50": base_s * plant.median_share + slowed(share),
        "latency_p90": base_s * (0.6 + 0.2 * plant.median_share) + slowed(share90),
        "latency_p95": base_s * 0.85 + slowed(share95),
        "latency_p99": base_s + slower,
        "own_latency": series("own_latency_s") * plant.median_share,
        "client_error": client_error,
        "client_latency": 0.4 * base_s + calling + waits * plant.common,
        "traffic": requests,
        "client_traffic": requests * 1.4 * (1.0 - 0.5 * error),
        "cpu": cpu,
        "memory": memory,
        "memory_bytes": memory * plant.memory_limit_bytes,
        "saturation": saturation,
        "queue": np.maximum(saturation - 0.5, 0.0) * 400.0,
        "active": series("active_requests") * np.where(plant.requests_per_s > 0.0, 1.0, 0.02),
        "descriptors": series("descriptors"),
        "disk": series("disk"),
        "net_in": 900.0 * (requests + 0.3),
        "net_out": 2500.0 * (requests * (1.0 - 0.6 * error) + 0.2),
        "net_fault": series("network"),
        "disk_io": 40.0 * (0.2 + requests) * (1.0 + 4.0 * np.maximum(series("disk") - 0.35, 0.0)),
        "gc": series("gc_pause_ms"),
        "restarts": restarts,
        "deploy_age": plant.deploy_age_s + passed_s,
        "config_age": plant.config_age_s + passed_s,
        "uptime": up_s,
        "log_errors": requests * (loud * (error + client_error) + logged * as_errors) * 10.0,
        "log_lines": (requests + 0.1) * 15.0,
        "log_shift": 5.0 * (1.0 - np.exp(-3.0 * (0.1 * loud * (error + client_error) + logged * as_novelty))),
    }
    return Truth(signals, unserved)


def read(
    rng: np.random.Generator,
    states: Sequence[State],  # T ticks
    rest: State,  # at rest, for the baseline
    fleet: Fleet,
    plant: Plant,
    season: Floats,  # (T0 + T, S) usual traffic over time, 1 on average
    minutes: float,  # between two readings
    wanted: Sequence[str],
) -> dict[str, Floats]:
    """The wanted signals over baseline and incident.  → {signal: (T0 + T, S)}"""
    before = len(season) - len(states)
    true, unserved = truth(rng, states, rest, fleet, plant, season, minutes)
    seconds = 60.0 * minutes
    # A percentile of few requests jumps about.
    few_requests = np.minimum(np.sqrt(1.0 + 20.0 / (plant.requests_per_s * seconds + 0.5)), 4.0)
    signals = {}
    for name in wanted:
        values = true[name]
        if not SPREAD[name]:
            signals[name] = values
            continue
        sigma = SPREAD[name] * plant.wobble
        if name in NEEDS_REQUESTS:
            sigma = sigma * few_requests
        noisy = values * np.exp(sigma * rng.standard_normal(values.shape) - 0.5 * sigma**2)
        moved = rng.random(len(sigma)) < plant.restless
        if before and moved.any():
            noisy[before:] *= np.where(moved, np.exp(3.0 * sigma * rng.standard_normal(len(sigma))), 1.0)
        if name == "log_shift":
            noisy = noisy + _calm_shift(rng, before, len(states), len(sigma))
        if name in NEEDS_REQUESTS:
            noisy[before:] *= plant.client_drift if name == "client_latency" else plant.drift
        if name.startswith("latency") and plant.blips.any():
            noisy = np.where(rng.random(values.shape) < plant.blips, noisy * rng.uniform(2.0, 8.0), noisy)
        if name in ("error", "client_error", "memory", "saturation", "disk", "cpu"):
            noisy = np.minimum(noisy, 1.0)
        if name in NEEDS_REQUESTS:
            noisy = np.where(unserved, np.nan, noisy)
        elif name == "error":
            noisy = np.where(unserved & plant.idle_fails, 1.0, noisy)
        signals[name] = noisy
    return signals
