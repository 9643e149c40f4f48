"""The settings of simulated worlds: size, speed, noise, and what makes the root cause hard to find."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from data.observation import Difficulty

SIMPLE_FAMILIES = ("oom", "bad_deploy", "config_drift", "memory_leak", "network_partition")


class Script(BaseModel):
    """The fixed part of a catalogue task's world; the rest is drawn from the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: tuple[str, ...] = ()
    faults: dict[str, str] = {}  # {service: fault family}
    dials: dict[str, Any] = {}


@dataclass(frozen=True)
class WorldConfig:
    """The defaults of one difficulty; a catalogue task may override some."""

    services: tuple[int, int]  # fewest and most
    max_ticks: int
    slo_budget: float
    slo_burn: float  # per tick while users are affected
    impact_scale: float  # bad customer minutes from which that part of the grade is 0
    pace: float  # how fast faults grow
    families: tuple[str, ...] = SIMPLE_FAMILIES  # empty: all of them
    second_fault: float = 0.0  # chance of a second, unrelated fault
    waiting: float = 0.0  # how much callers wait for slow callees, which makes victims look bad
    noise: float = 0.0  # relative spread of every reading
    red_herrings: int = 0  # number of innocents with elevated error rates and misleading logs
    degraded_herrings: float = 0.0  # chance for each that it really is degraded, for unrelated reasons
    recent_changes: float = 0.0  # share of innocents with a recent deployment and configuration change
    missing_metrics: float = 0.0  # chance that the root cause lacks some metrics
    blind_root: float = 0.0  # chance that nothing is measured at the root cause
    missing_elsewhere: float = 0.0  # share of innocents that lack some metrics
    blind_elsewhere: float = 0.0  # share of innocents without metrics, so that lacking them means nothing
    unmonitored: float = 0.0  # share of stores, caches, queues and third parties without monitoring
    stale: float = 0.0  # share of services whose metrics are one or two ticks late
    silent: float = 0.0  # share of services whose metrics stop during the incident
    load_shift: float = 0.0  # chance that traffic changes during the incident for harmless reasons
    seasonality: float = 0.0  # largest relative swing of the usual traffic over time
    lying_logs: float = 0.0  # share of innocents whose logs look like a fault or give orders to the reader


CONFIGS: dict[Difficulty, WorldConfig] = {
    "easy": WorldConfig(
        services=(3, 3), max_ticks=20, slo_budget=30.0, slo_burn=1.5, impact_scale=15.0, pace=1.0
    ),
    "medium": WorldConfig(
        services=(5, 5),
        max_ticks=30,
        slo_budget=60.0,
        slo_burn=2.0,
        impact_scale=45.0,
        pace=1.5,
        families=(*SIMPLE_FAMILIES, "cpu_starvation", "crash_loop", "expired_certificate", "slow_query"),
        waiting=0.5,
        noise=0.02,
        red_herrings=1,
        recent_changes=0.2,
        missing_metrics=0.1,
        load_shift=0.2,
        seasonality=0.05,
        lying_logs=0.2,
    ),
    "hard": WorldConfig(
        services=(7, 10),
        max_ticks=40,
        slo_budget=120.0,
        slo_burn=3.0,
        impact_scale=60.0,
        pace=2.0,
        families=(),
        second_fault=0.1,
        waiting=1.0,
        noise=0.05,
        red_herrings=3,
        degraded_herrings=0.2,
        recent_changes=0.6,
        missing_metrics=0.35,
        blind_root=0.2,
        missing_elsewhere=0.2,
        blind_elsewhere=0.1,
        unmonitored=0.1,
        stale=0.15,
        silent=0.1,
        load_shift=0.4,
        seasonality=0.2,
        lying_logs=0.4,
    ),
}


@dataclass(frozen=True)
class SimulationConfig:
    """What to simulate, and how hard it is to diagnose."""

    most_services: int = 60  # largest graph; up to 5,000
    snapshots: float = 0.5  # share of windows without a baseline, with the environment's metric names
    alerts: float = 0.25  # share of incidents with alert events only; the rest are series with baselines
    first_looks: float = 0.6  # share of windows without a baseline that have a single observation
    watched: float = 0.6  # chance, in these windows, that the fault begins with the first observation
    healthy: float = 0.06  # share of windows without a fault
    second_root: float = 0.06  # share with two independent faults
    blind_root: float = 0.12  # chance that nothing is measured at the root cause
    missing_service: float = 0.06  # chance that nothing is measured at an innocent
    missing_metric: float = 0.15  # chance that a service lacks a metric that others have
    missing_point: float = 0.3  # chance that a window has gaps
    client_views: float = 0.3  # share of series with address nodes beside the services behind them
    injected: float = 0.45  # smallest share, with series, of faults that fault injectors produce
    injected_alerts: float = 0.9  # the same, with alerts
    side_effects: float = 0.5  # chance of side effects at the root cause
    drifts: float = 0.5  # chance that some innocents are slower, faster or less reliable than before
    load_shift: float = 0.25  # chance that traffic changes without a fault
    closed: float = 0.5  # share of systems whose users wait for an answer before the next request
    passing: float = 0.35  # chance that a fault ends by itself within the window
    paged: float = 0.6  # chance that the page is known
    call_telemetry: float = 0.25  # chance of telemetry for single calls
    worlds_at_once: int = 32
