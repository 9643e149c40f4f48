"""The dials of a world: how large, how fast, how loud, and what makes the culprit hard to find."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.observation import Difficulty

SIMPLE_FAMILIES = ("oom", "bad_deploy", "config_drift", "memory_leak", "network_partition")


@dataclass(frozen=True)
class Script:
    """What a catalogue task fixes of its world; everything else is drawn from the seed."""

    services: tuple[str, ...] = ()
    # {service: fault family}
    faults: Mapping[str, str] = field(default_factory=dict)
    dials: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class WorldConfig:
    """One difficulty's defaults; a scenario of the catalogue may override some."""

    services: tuple[int, int]  # fewest and most
    max_ticks: int
    slo_budget: float
    slo_burn: float  # a tick, while users are hurt
    impact_scale: float  # bad-customer-minutes that leave nothing of that part of the grade
    pace: float  # how fast faults grow
    families: tuple[str, ...] = SIMPLE_FAMILIES  # empty: all of them
    second_fault: float = 0.0  # chance of a second, unrelated fault
    waiting: float = 0.0  # how much callers wait for slow callees: victims get loud
    noise: float = 0.0  # relative spread of every reading
    red_herrings: int = 0  # innocents with elevated error rates and misleading logs
    degraded_herrings: float = 0.0  # chance for each that it really is degraded, for reasons of its own
    recent_changes: float = 0.0  # share of innocents with a fresh deployment and configuration
    missing_metrics: float = 0.0  # chance that the culprit lacks part of its metrics
    blind_root: float = 0.0  # chance that nothing at all is measured at the culprit
    missing_elsewhere: float = 0.0  # share of innocents that lack part of their metrics
    blind_elsewhere: float = 0.0  # share of innocents at which nothing is measured: it betrays nobody
    unmonitored: float = 0.0  # share of stores, caches, queues and third parties that nobody monitors
    stale: float = 0.0  # share of services whose metrics come a tick or two late
    silent: float = 0.0  # share of services whose metrics stop during the incident
    load_shift: float = 0.0  # chance that traffic changes during the incident for no bad reason
    seasonality: float = 0.0  # how far the usual traffic swings up and down over time, at most
    lying_logs: float = 0.0  # share of innocents whose logs read like a fault, or order the reader about


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
    """What is simulated, and how hard it is to read."""

    most_services: int = 60  # largest graph; up to 5,000
    snapshots: float = 0.5  # share of windows without a baseline, in the environment's own vocabulary
    alerts: float = 0.25  # share of incidents told by alert events only; the rest are baselined series
    first_looks: float = 0.6  # share of windows without a baseline that are cut to their first observation
    watched: float = 0.6  # chance, in these windows, that the fault begins with the first observation
    healthy: float = 0.06  # share of windows in which nothing is broken
    second_root: float = 0.06  # share with two independent faults
    blind_root: float = 0.12  # chance that nothing is measured at the culprit
    missing_service: float = 0.06  # chance that nothing is measured at an innocent
    missing_metric: float = 0.15  # chance that a service lacks a metric that others have
    missing_point: float = 0.3  # chance that a window has holes
    client_views: float = 0.3  # share of series in which addresses appear besides the services they lead to
    injected: float = 0.45  # least share of faults, where series tell, of the kinds that injectors set
    injected_alerts: float = 0.9  # the same where alerts tell
    side_effects: float = 0.5  # chance that a culprit's resources move beyond what its fault does
    drifts: float = 0.5  # chance that some innocents are steadily slower, faster or sicker than before
    load_shift: float = 0.25  # chance that traffic changes without a fault
    closed: float = 0.5  # share of measured systems whose users wait for an answer before they ask again
    passing: float = 0.35  # chance that a fault ends by itself within the window
    paged: float = 0.6  # chance that it is known what paged
    call_telemetry: float = 0.25  # chance that calls are measured one by one
    worlds_at_once: int = 32
