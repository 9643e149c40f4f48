"""Turns simulated states into measured signals: noisy, seasonal and sometimes missing."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.arrays import Bools, Floats
from data.simulator.batch.measurement_profile import Profile
from data.simulator.physics import Fleet, State

# Relative spread of each signal between readings, before the world's own factor.
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
    "net_in": 0.1,
    "net_out": 0.1,
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
SHARES = ("error", "client_error", "memory", "saturation", "disk", "cpu")
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


def _asleep(rng: np.random.Generator, sleeps: Floats, points: int) -> Bools:
    """When services such as batch jobs pause.  → (T, S)"""
    period = np.maximum(sleeps, 1.0)
    phase = rng.uniform(0.0, period)
    share = rng.uniform(0.2, 0.6, len(sleeps))
    return (sleeps > 0.0) & ((np.arange(points)[:, None] + phase) % period < share * period)


def _logging(rng: np.random.Generator, services: int) -> tuple[Floats, Floats]:
    """Whether unusual events are logged as errors, as new kinds of lines, or both: twice (S,)."""
    how = rng.random(services)
    return (how < 0.65).astype(np.float64), (how > 0.35).astype(np.float64)


def _calm_shift(rng: np.random.Generator, before: int, points: int, services: int) -> Floats:
    """How far a healthy service's log lines differ from usual, different in every window.  → (T, S)"""
    usual = rng.uniform(0.1, 1.5, services)
    past = usual * rng.uniform(0.2, 1.8, services)
    now = usual * rng.uniform(0.5, 2.0, services)
    return np.concatenate([np.tile(past, (before, 1)), np.tile(now, (points, 1))])


class Truth(NamedTuple):
    """The true signals of a run, before measurement."""

    signals: dict[str, Floats]  # {signal: (T0 + T, S)}
    unserved: Bools  # (T0 + T, S) hardly any request was served


def truth(
    rng: np.random.Generator,
    states: Sequence[State],  # T ticks
    rest: State,  # at rest, for the baseline
    fleet: Fleet,
    profile: Profile,
    season: Floats,  # (T0 + T, S) usual traffic over time, 1 on average
    minutes: float,  # between two readings
) -> Truth:
    """All true signals over baseline and incident; only request counts and logging are random."""
    before = len(season) - len(states)

    def series(name: str) -> Floats:
        calm = np.broadcast_to(getattr(rest, name), (before, len(rest.traffic)))
        return np.concatenate([calm, np.stack([getattr(state, name) for state in states])])

    traffic = series("traffic")
    traffic[:before] *= season[:before]
    slower = series("latency_s") - fleet.latency_s
    busier = 1.0 + 0.15 * np.maximum(traffic - 1.0, 0.0)
    base_s = fleet.latency_s * busier
    error = np.maximum(series("error_rate") - fleet.error_rate, 0.0) + profile.error_floor
    error[before:] += profile.sick
    client_error = series("client_error")
    memory = np.minimum(series("memory"), 1.0)
    saturation = series("saturation")
    cpu = series("cpu")
    cpu[:before] *= 0.3 + 0.7 * season[:before]
    seconds = 60.0 * minutes
    expected = profile.requests_per_s * traffic * seconds
    expected = np.where(_asleep(rng, profile.sleeps, len(season)), 0.0, expected)
    counted = np.where(expected < 100.0, rng.poisson(np.minimum(expected, 100.0)), expected)
    requests = counted / seconds
    unserved = counted < 0.02 * profile.requests_per_s * seconds + 0.5
    restarts = series("restarts")
    passed_s = seconds * np.arange(len(season))[:, None]
    up_s = np.where(restarts > 0.0, np.minimum(profile.uptime_s, 30.0), profile.uptime_s + passed_s)
    loud = profile.error_logging
    calling = series("calling_slower_s")
    waits = series("client_latency_s") - calling
    own = np.maximum(slower - waits, 0.0)

    def slowed(share: Floats | float) -> Floats:
        """Extra seconds at a percentile that shows this share of the tail's slow-down."""
        return own * share + waits * share * profile.common

    share = profile.slow_median
    share90 = np.where(profile.rare, 1.5 * share, np.minimum(share + 0.4, 1.0))
    share95 = np.where(profile.rare, 4.0 * share, np.minimum(share + 0.6, 1.0))
    logged = series("odd_logs")
    as_errors, as_novelty = _logging(rng, len(share))
    signals = {
        "error": error,
        "latency_mean": base_s * (0.2 + 0.7 * profile.median_share) + slowed(np.maximum(share, 0.1)),
        "latency_p50": base_s * profile.median_share + slowed(share),
        "latency_p90": base_s * (0.6 + 0.2 * profile.median_share) + slowed(share90),
        "latency_p95": base_s * 0.85 + slowed(share95),
        "latency_p99": base_s + slower,
        "own_latency": series("own_latency_s") * profile.median_share,
        "client_error": client_error,
        "client_latency": 0.4 * base_s + calling + waits * profile.common * np.maximum(share, 0.1),
        "traffic": requests,
        "client_traffic": requests * 1.4 * (1.0 - 0.5 * error),
        "cpu": cpu,
        "memory": memory,
        "memory_bytes": memory * profile.memory_limit_bytes,
        "saturation": saturation,
        "queue": np.maximum(saturation - 0.5, 0.0) * 400.0,
        "active": series("active_requests") * np.where(profile.requests_per_s > 0.0, 1.0, 0.02),
        "descriptors": series("descriptors"),
        "disk": series("disk"),
        "net_in": 900.0 * (requests + 0.3) * (1.0 + 2.0 * series("network")),
        "net_out": 2500.0 * (requests * (1.0 - 0.6 * np.minimum(error, 1.0)) + 0.2),
        "net_fault": series("network"),
        "disk_io": 40.0 * (0.2 + requests) * (1.0 + 4.0 * np.maximum(series("disk") - 0.35, 0.0)),
        "gc": series("gc_pause_ms"),
        "restarts": restarts,
        "deploy_age": profile.deploy_age_s + passed_s,
        "config_age": profile.config_age_s + passed_s,
        "uptime": up_s,
        "log_errors": requests * (loud * (error + client_error) + logged * as_errors) * 10.0,
        "log_lines": (requests + 0.1) * 15.0,
        "log_shift": 5.0 * (1.0 - np.exp(-3.0 * (0.1 * loud * (error + client_error) + logged * as_novelty))),
    }
    return Truth(signals, unserved)


def read_signals(
    rng: np.random.Generator,
    of: Truth,
    profile: Profile,
    before: int,  # T0
    minutes: float,  # between two readings
    wanted: Sequence[str],
) -> dict[str, Floats]:
    """The wanted signals as measured.  → {signal: (T0 + T, S)}"""
    true, unserved = of
    seconds = 60.0 * minutes
    # A percentile of few requests jumps about.
    few_requests = np.minimum(np.sqrt(1.0 + 20.0 / (profile.requests_per_s * seconds + 0.5)), 4.0)
    signals = {}
    for name in wanted:
        values = true[name]
        if not SPREAD[name]:
            signals[name] = values
            continue
        sigma = SPREAD[name] * profile.wobble
        if name in NEEDS_REQUESTS:
            sigma = sigma * few_requests
        noisy = values * np.exp(sigma * rng.standard_normal(values.shape) - 0.5 * sigma**2)
        moved = rng.random(len(sigma)) < profile.restless
        if before and moved.any():
            noisy[before:] *= np.where(moved, np.exp(3.0 * sigma * rng.standard_normal(len(sigma))), 1.0)
        if name == "log_shift":
            noisy = noisy + _calm_shift(rng, before, len(values) - before, len(sigma))
        if name in NEEDS_REQUESTS:
            noisy[before:] *= profile.client_drift if name == "client_latency" else profile.drift
        if name.startswith("latency") and profile.blips.any():
            noisy = np.where(rng.random(values.shape) < profile.blips, noisy * rng.uniform(2.0, 8.0), noisy)
        if name in SHARES:
            noisy = np.minimum(noisy, 1.0)
        if name in NEEDS_REQUESTS:
            noisy = np.where(unserved, np.nan, noisy)
        elif name == "error":
            noisy = np.where(unserved & profile.idle_fails, 1.0, noisy)
        signals[name] = noisy
    return signals
