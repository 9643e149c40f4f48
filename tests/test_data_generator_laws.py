"""Laws of what the generator adds to a fault: side effects, addresses, drift, pauses, gaps."""

import pickle
from dataclasses import fields, replace
from typing import Literal

import numpy as np
import pytest

from data.faults.drives import Drive
from data.faults.families import fault_families
from data.incident import Incident, Series
from data.simulator.active_faults import DRIVES, RunningFault, drives
from data.simulator.batch.assemble import Window
from data.simulator.batch.fault_sampling import INJECTED, faults_of
from data.simulator.batch.generate import run, simulate
from data.simulator.batch.measurement_profile import Profile, draw_profile
from data.simulator.batch.metric_naming import metric_namings
from data.simulator.batch.signals import SPREAD, read_signals, truth
from data.simulator.batch.variants import with_client_views
from data.simulator.config import SimulationConfig
from data.simulator.physics import Fleet, Physics, State
from data.simulator.topology import Topology, generate
from data.simulator.world.scenario import healthy_fleet

DIALS = [field.name for field in fields(SimulationConfig) if isinstance(field.default, float)]
SIGNALS = {(naming.name, m.name): m.signal for naming in metric_namings().values() for m in naming.metrics}
# Series with one fault per world and all dials off.
CALM = replace(SimulationConfig(most_services=16), **dict.fromkeys(DIALS, 0.0))
WINDOW = Window("series", baseline=20, points=8, minutes=1.0)
SIZE = 12
SOME = np.arange(SIZE) < SIZE // 2
UNKNOWN = Series(np.full(1, np.nan), np.full(1, np.nan))  # one point, so that it has a mean


def _simulated(n: int, **dials: float) -> list[Incident]:
    return list(simulate(n, 1, replace(CALM, **dials)))


def _series(incident: Incident, service: str, signal: str) -> Series:
    naming, own = incident.system.split("-")[1], incident.telemetry[service]
    return next((own[name] for name in own if SIGNALS[naming, name] == signal), UNKNOWN)


def _change(incident: Incident, service: str, signal: str, since: int = 0) -> float:
    """Log of the mean during the incident over the mean before it; NaN if unknown."""
    series = _series(incident, service, signal)
    before, now = float(series.baseline.mean()), float(series.incident[since:].mean())
    return float(np.log(now / before)) if before > 0.0 and now > 0.0 else np.nan


def _moved(signal: str, factor: float, since: int = 0, **dials: float) -> list[float]:
    """The share of innocents, and of culprits if any, whose signal changed by more than this factor."""
    incidents = _simulated(250, **dials)
    known = [(s in i.root_causes, abs(_change(i, s, signal, since))) for i in incidents for s in i.services]
    groups = [
        [by > np.log(factor) for guilty, by in known if guilty == g and by >= 0.0] for g in (False, True)
    ]
    return [float(np.mean(group)) for group in groups if group]


def _fleet(size: int) -> Fleet:
    one = vars(healthy_fleet(np.random.default_rng(1), 1))
    return Fleet(**{name: np.repeat(value, size) for name, value in one.items()})


def _run(topology: Topology, *faults: RunningFault, ticks: int = 12, tolerance: float = 0.3) -> list[State]:
    return run(topology, _fleet(len(topology.names)), faults, 0.5, ticks, tolerance=tolerance)


def _plant(requests_per_s: float = 100.0, wobble: float = 0.0) -> Profile:
    """A plant without outliers, in which all services are always active and get equal traffic."""
    profile = draw_profile(np.random.default_rng(0), SIZE, 1.0, wobble, idle_share=0.0, restless=0.0)
    return replace(profile, requests_per_s=np.full(SIZE, requests_per_s), blips=np.zeros(SIZE))


def _read(profile: Profile, family: str = "slow_query", before: int = 20) -> dict[str, np.ndarray]:
    """All signals of one system before and during a fault. → {signal: (T0 + T, S)}"""
    topology, fleet = generate(np.random.default_rng(2), SIZE), _fleet(SIZE)
    states = run(topology, fleet, [RunningFault(fault_families()[family], SIZE - 1)], 1.0, WINDOW.points)
    rest = Physics(topology, fleet).step(drives((), SIZE), np.zeros(SIZE), 1.0)
    rng, season = np.random.default_rng(3), np.ones((before + WINDOW.points, SIZE))
    return read_signals(
        rng, truth(rng, states, rest, fleet, profile, season, 1.0), profile, before, 1.0, list(SPREAD)
    )


def _drawn(seed: int, profile: Profile, window: Window = WINDOW, **dials: float) -> tuple[RunningFault, ...]:
    rng = np.random.default_rng(seed)
    return faults_of(rng, replace(CALM, **dials), generate(rng, SIZE), np.arange(SIZE), profile, window)


def _unmeasured(incident: Incident) -> set[str]:
    return {name for name, metrics in incident.telemetry.items() if not metrics}


# Dials that affect only one kind of window.
LONE = {
    "first_looks": {"snapshots": 1.0},
    "watched": {"snapshots": 1.0},
    "injected_alerts": {"snapshots": 0.0, "alerts": 1.0},
}
# Dials visible in a single incident; the others have their own tests below.
SHOWS = {
    "alerts": lambda i: bool(i.alerts),
    "second_root": lambda i: len(i.root_causes) == 2,
    "blind_root": lambda i: bool(_unmeasured(i) & set(i.root_causes)),
    "missing_service": lambda i: bool(_unmeasured(i) - set(i.root_causes)),
    "missing_point": lambda i: any(np.isnan(_series(i, s, "cpu").baseline[1:]).any() for s in i.services),
    "client_views": lambda i: any(name.endswith("_remote") for name in i.services),
    "paged": lambda i: i.page is not None,
    "call_telemetry": lambda i: bool(i.call_telemetry),
}


@pytest.mark.parametrize("dial", DIALS)
def test_a_dial_says_the_same_with_the_same_seed_and_at_0_removes_what_it_is_for(dial: str) -> None:
    lone = LONE.get(dial, {})
    first, again, without = (_simulated(32, **lone, **{dial: at}) for at in (1.0, 1.0, 0.0))
    assert pickle.dumps(first) == pickle.dumps(again) != pickle.dumps(without)
    if shows := SHOWS.get(dial):
        assert sum(map(shows, first)) > 3 > 0 == sum(map(shows, without))


def test_each_dial_sets_the_faults_of_injectors_in_its_own_kind_of_window_only() -> None:
    def share(kind: Literal["snapshot", "series", "alerts"], **dials: float) -> float:
        window = replace(WINDOW, kind=kind)
        families = [_drawn(seed, _plant(), window, **dials)[0].family.name for seed in range(60)]
        return float(np.mean([name in INJECTED for name in families]))

    assert share("series", injected=1.0, injected_alerts=0.0) == 1.0
    assert share("alerts", injected=0.0, injected_alerts=1.0) == 1.0
    for kind, dials in (("series", {"injected_alerts": 1.0}), ("alerts", {"injected": 1.0})):
        assert share(kind, **{"injected": 0.0, "injected_alerts": 0.0, **dials}) < 0.5
    assert share("snapshot", injected=1.0, injected_alerts=1.0) < 0.3


@pytest.mark.parametrize("resource", ["cpu", "memory", "disk", "network", "restarts"])
def test_what_moves_beside_a_fault_moves_at_the_culprit_and_nowhere_else(resource: str) -> None:
    beside, family = np.eye(DRIVES)[Drive[resource.upper()]] * 0.4, fault_families()["bad_deploy"]
    for service in range(SIZE):
        topology = generate(np.random.default_rng(service), SIZE)
        plain, besides = (_run(topology, RunningFault(family, service, beside=b)) for b in (None, beside))
        more = np.outer(np.array(State._fields) == resource, np.arange(SIZE) == service)
        for one, other in zip(plain, besides, strict=True):
            np.testing.assert_array_equal(np.sign(np.array(other) - one), more)


def test_side_effects_are_up_to_three_resources_and_leave_failing_requests_to_the_fault() -> None:
    for seed in range(100):
        (fault,), (plain,) = (_drawn(seed, _plant(), side_effects=at) for at in (1.0, 0.0))
        (snap,) = _drawn(seed, _plant(), replace(WINDOW, kind="snapshot"), side_effects=1.0)
        assert plain.beside is snap.beside is None is not fault.beside
        assert 1 <= np.count_nonzero(fault.beside) <= 3 and (fault.beside >= 0.0).all()
        assert not fault.beside[[Drive.ERROR, Drive.LATENCY, Drive.SURGE]].any()


def test_side_effects_move_the_memory_of_more_culprits_and_of_no_innocents() -> None:
    (calm, few), (still, many) = (_moved("memory", 1.2, side_effects=at) for at in (0.0, 1.0))
    assert many > few + 0.03 and max(calm, still) < 0.01


def test_an_address_shows_one_service_to_one_caller_and_changes_neither() -> None:
    for seed, family in enumerate(fault_families().values()):
        rng, share = np.random.default_rng(seed), seed % 3 / 2
        plain = generate(rng, SIZE)
        grown, views = with_client_views(plain, rng, share)
        assert len(grown.names) - SIZE == share * len(plain.callers) or share == 0.5
        assert len(set(grown.names)) == len(grown.names) and (views[:SIZE] == np.arange(SIZE)).all()
        for address in range(SIZE, len(grown.names)):
            (caller,) = grown.callers[grown.callees == address].tolist()
            assert address not in grown.callers
            assert plain.names[views[address]] in plain.call_graph[plain.names[caller]]
        if grown.depth == plain.depth:  # trouble climbs as many hops as the graph is deep
            one, other = (_run(t, RunningFault(family, seed % SIZE))[-1] for t in (plain, grown))
            np.testing.assert_allclose(np.array(other)[:, :SIZE], one, atol=1e-12)


def test_addresses_follow_the_service_behind_them_and_are_never_to_blame() -> None:
    changes, traffic = [], []
    for incident in _simulated(250, client_views=1.0):
        shares: dict[str, float] = {}
        real = [name for name in incident.services if not name.endswith("_remote")]
        assert set(incident.root_causes) <= set(real)
        for address in sorted(set(incident.services) - set(real)):
            behind = address.split("_from_")[0]
            trio = address, behind, next(name for name in real if name != behind)
            changes.append([_change(incident, name, "latency_p99") for name in trio])
            asked, of_all, _ = (_series(incident, name, "traffic").baseline.sum() for name in trio)
            shares[behind] = shares.get(behind, 0.0) + (asked / of_all if of_all > 0.0 else np.nan)
        traffic += [share for share in shares.values() if np.isfinite(share)]
    alike = np.corrcoef([row for row in changes if not np.isnan(row).any()], rowvar=False)
    assert alike[0, 1] > 0.9 > 0.5 > alike[0, 2]
    assert min(traffic) > 0.1 and max(traffic) < 1.15  # together, of the whole, but for errors of reading


def test_a_drift_is_there_from_the_first_point_of_the_incident_to_the_last_and_not_before() -> None:
    profile, much = _plant(wobble=1.0), np.full(SIZE, 3.0)
    assert (profile.drift * profile.client_drift == 1.0).all() and not profile.sick.any()
    drifts = {}, {"drift": much}, {"client_drift": much}
    plain, served, calling = (_read(replace(profile, **drift)) for drift in drifts)
    for name in SPREAD:
        client = name == "client_latency"
        for drifted, hit in ((served, "latency" in name and not client), (calling, client)):
            np.testing.assert_allclose(drifted[name][:20], plain[name][:20])
            np.testing.assert_allclose(drifted[name][20:], plain[name][20:] * (3.0 if hit else 1.0))
    well, sick = (_read(replace(_plant(), sick=np.full(SIZE, share)))["error"] for share in (0.0, 0.2))
    np.testing.assert_allclose((sick - well).T, [[0.0] * 20 + [0.2] * WINDOW.points] * SIZE, atol=1e-12)


@pytest.mark.parametrize(("dial", "signal"), [("drifts", "latency_p99"), ("load_shift", "traffic")])
def test_healthy_systems_drift_and_get_busier_without_anybody_to_blame(dial: str, signal: str) -> None:
    (still,), (moved,) = (_moved(signal, 1.5, healthy=1.0, **{dial: at}) for at in (0.0, 1.0))
    assert moved > still + 0.04  # one share each, as without culprits there is no other


def test_who_is_to_blame_is_somebody_often_asked_whoever_drifts() -> None:
    seldom = replace(_plant(), requests_per_s=np.where(SOME, 0.05, 1.0))  # 3 and 60 between two points
    adrift = replace(seldom, drift=np.full(SIZE, 5.0), sick=SOME * 0.5)
    for seed in range(100):
        (fault,), (other,) = _drawn(seed, seldom), _drawn(seed, adrift)
        assert not SOME[fault.service] and (other.service, other.family) == (fault.service, fault.family)
        assert _drawn(seed, _plant(requests_per_s=0.05)) == ()


def test_sleepers_rest_now_and_then_whatever_happens_elsewhere() -> None:
    assert not _plant().sleeps.any()
    profile = replace(_plant(), sleeps=np.where(SOME, 9.0, 0.0), idle_fails=np.arange(SIZE) % 2 == 0)
    seen, other = _read(profile, "bad_deploy"), _read(profile, "slow_query")
    rests = seen["traffic"] == 0.0
    assert (rests.any(axis=0) == SOME).all() and not rests.all(axis=0).any()
    np.testing.assert_array_equal(other["traffic"] == 0.0, rests)
    np.testing.assert_array_equal(np.isnan(seen["latency_p99"]), rests)
    np.testing.assert_array_equal(seen["error"][rests] == 1.0, (rests & profile.idle_fails)[rests])


def test_percentiles_of_few_requests_jump_about_and_nothing_else_does() -> None:
    few, many = (_read(_plant(rate, wobble=1.0), before=400) for rate in (0.05, 100.0))
    for name, factor in (("latency_p50", 2.6), ("latency_p99", 2.6), ("cpu", 1.0)):
        spreads = [np.nanmean(np.nanstd(np.log(signals[name][:400]), axis=0)) for signals in (few, many)]
        assert spreads[0] == pytest.approx(factor * spreads[1], rel=0.15)


def test_the_less_callers_tolerate_the_more_they_fail() -> None:
    more = []
    for seed, family in enumerate(list(fault_families().values()) * 2):
        graph = generate(np.random.default_rng(seed), SIZE)
        topology = replace(graph, breakers=graph.breakers & False)  # open ones spare callers the waiting
        runs = [_run(topology, RunningFault(family, seed % SIZE), tolerance=t) for t in (0.0, 0.2, 0.5)]
        strict, usual, lax = (np.array([state.client_error for state in states]) for states in runs)
        assert (strict >= usual - 1e-9).all() and (usual >= lax - 1e-9).all(), (seed, family.name)
        more.append((strict > usual + 0.01).any())
    assert np.mean(more) > 0.1


@pytest.mark.parametrize("family", fault_families())
def test_a_fault_that_passes_leaves_nothing_behind_but_its_restarts(family: str) -> None:
    topology = generate(np.random.default_rng(4), SIZE)
    fault = RunningFault(fault_families()[family], 3, lasts_minutes=3.0)
    calm, after = _run(topology)[-1], _run(topology, fault, ticks=60)[-1]
    np.testing.assert_allclose(after._replace(restarts=calm.restarts), calm, atol=1e-9)


def test_fewer_culprits_are_still_slow_at_the_last_point_where_faults_pass() -> None:
    (_, slow), (_, fewer) = (_moved("latency_p99", 2.0, since=-1, passing=at) for at in (0.0, 1.0))
    assert fewer < slow - 0.03


@pytest.mark.parametrize("kind", ["missing_point", "snapshots", "alerts"])
def test_nothing_is_measured_at_a_blind_culprit_that_somebody_calls(kind: str) -> None:
    for incident in _simulated(100, **{"blind_root": 1.0, kind: 1.0}):
        graph, roots = incident.call_graph, set(incident.root_causes)
        # Call graphs of alerts may be undirected, and then do not show whether it has callers.
        called = {r for r in roots if any(r in to and by not in graph[r] for by, to in graph.items())}
        assert _unmeasured(incident) <= roots and not any(incident.telemetry.get(r) for r in called)
        assert all(alert.kind == "trace" for alert in incident.alerts if alert.service in called)


def test_users_who_wait_for_an_answer_ask_less_of_what_is_slow_and_never_more() -> None:
    held_up = 0
    for service in range(SIZE):
        topology = generate(np.random.default_rng(service), SIZE)
        runs = [
            run(
                topology,
                _fleet(SIZE),
                (RunningFault(fault_families()["gray_failure"], service),),
                0.5,
                12,
                think_s=s,
            )
            for s in (np.inf, 10.0, 0.5)
        ]
        open_, patient, hasty = (np.array([state.traffic for state in states]) for states in runs)
        assert (hasty <= patient + 1e-9).all() and (patient <= open_ + 1e-9).all()
        held_up += hasty[-1, service] < open_[-1, service] - 0.01
    assert held_up > SIZE / 2  # but for what is called without waiting
