"""How the services of a world are measured: their load, noise, and changes unrelated to faults."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from data.arrays import Bools, Floats
from data.simulator.physics import Fleet

Columns = TypeVar("Columns", Fleet, "Profile")


@dataclass(frozen=True, eq=False)
class Profile:
    """How the services of a run are measured; each (S,) unless said otherwise."""

    requests_per_s: Floats
    sleeps: Floats  # period in points of pauses without requests; 0 for none
    idle_fails: Bools  # without requests the availability reads as zero
    median_share: Floats  # healthy p50 as a share of p99
    slow_median: Floats  # how much of the tail's slow-down shows in the median
    rare: Bools  # few requests are affected: tail and mean change, median and p90 hardly
    drift: Floats  # constant factor on latency during the incident, unrelated to it
    client_drift: Floats  # the same for the calls that it makes
    sick: Floats  # constant share of failures during the incident, unrelated to it
    common: Floats  # share of requests that wait for a callee; if small, slow callees show in the tail only
    wobble: Floats  # factor on the spread of all signals
    blips: Floats  # chance of an outlier per reading
    memory_limit_bytes: Floats
    restless: Floats  # chance that a signal changes during the incident, unrelated to it
    error_floor: Floats  # healthy error rate as measured, often exactly 0
    deploy_age_s: Floats  # at the first reading
    config_age_s: Floats
    uptime_s: Floats
    error_logging: Floats  # how far ordinary failures show in the service's own log


def draw_profile(
    rng: np.random.Generator,
    services: int,
    minutes: float,
    wobble: float,
    idle_share: float,
    restless: float,
    drifting: float = 0.0,
) -> Profile:
    """Draws how one world is measured."""
    requests = np.exp(rng.normal(rng.choice([2.0, 2.0, 0.0, -1.0]), 1.5, services))
    # Some services get only a few requests between two readings, or none.
    rare = rng.random(services) < idle_share
    requests[rare] = np.maximum(rng.uniform(-1.0, 4.0, int(rare.sum())), 0.0) / (60.0 * minutes)
    quiet = rng.random(services) < 0.7
    few = bool(rng.random() < 0.25)
    # The mix of requests has changed: every path is somewhat slower or faster than before.
    mixed = rng.choice([0.0, 0.0, 0.2, 0.5]) if drifting > 0.0 else 0.0
    mix, client_mix = np.exp(mixed * rng.standard_normal((2, services)))
    drifts = rng.random(services) < drifting
    recent = rng.random((2, services)) < rng.choice([0.0, 0.1, 0.5])  # unrelated changes
    return Profile(
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


def _old(rng: np.random.Generator, services: int) -> Floats:
    """Ages from hours to a week, in seconds."""
    return np.exp(rng.uniform(np.log(5_000.0), np.log(605_000.0), services))


def joined(parts: Sequence[Columns]) -> Columns:
    """Concatenates the fields, each (S,), of several worlds' dataclasses."""
    names = [field.name for field in fields(parts[0])]
    return type(parts[0])(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
