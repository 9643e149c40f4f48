"""Failover and buffers: traffic moves to stand-ins, and failures show minutes later."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from data.faults.drives import Drive
from data.faults.families import fault_families
from data.observation import Action
from data.simulator.active_faults import RunningFault
from data.simulator.batch.generate import SimulationConfig, run, simulate
from data.simulator.config import Script
from data.simulator.load import Load
from data.simulator.names import stand_ins
from data.simulator.physics import State
from data.simulator.topology import Topology, from_calls, generate
from data.simulator.world.scenario import healthy_fleet, set_up
from data.simulator.world.world import RunningEpisode

MINUTES = 0.5


def _states(topology: Topology, *faults: RunningFault, ticks: int = 40) -> list[State]:
    return run(topology, healthy_fleet(np.random.default_rng(1), len(topology.names)), faults, MINUTES, ticks)


def _twins(failover: float = 0.8) -> Topology:
    """0 calls 1 and its twin 2; both call the store 3."""
    names, kinds = ["front", "cart", "cart-az-b", "store"], ["gateway", "service", "service", "datastore"]
    calls = [(0, 1), (0, 2), (1, 3), (2, 3)]
    plain = from_calls(names, kinds, calls, np.random.default_rng(0), groups=[0, 1, 1, 3])
    return replace(plain, failovers=np.full(4, failover))


def _cut_off(service: int) -> RunningFault:
    return RunningFault(fault_families()["network_partition"], service)


def test_traffic_drops_behind_a_failure_and_rises_at_its_twin() -> None:
    moved, kept = _states(_twins(), _cut_off(1)), _states(_twins(failover=0.0), _cut_off(1))
    assert moved[-1].traffic[1] < 0.4 * kept[-1].traffic[1]
    assert moved[-1].traffic[2] > 1.3 * kept[-1].traffic[2]
    assert kept[-1].traffic[2] <= 1.0
    # Callers with failover suffer less; their callee is as busy as before.
    assert moved[-1].error_rate[0] < kept[-1].error_rate[0] - 0.1
    assert moved[-1].traffic[3] > kept[-1].traffic[3]


def test_balancers_move_traffic_and_neither_make_nor_lose_any() -> None:
    # Only users call these, so their traffic stays the same.
    alone = from_calls(["a", "b", "c"], ["gateway"] * 3, [], np.random.default_rng(0), groups=[0, 0, 0])
    fault = RunningFault(fault_families()["bad_deploy"], 1)
    for state in _states(replace(alone, failovers=np.full(3, 0.9)), fault):
        assert state.traffic.sum() == pytest.approx(3.0)
    assert state.traffic[1] < 0.2 < 1.3 < state.traffic[0] == pytest.approx(state.traffic[2])


def test_where_every_twin_fails_everybody_keeps_his_traffic() -> None:
    both = _states(_twins(), _cut_off(1), _cut_off(2))
    kept = _states(_twins(failover=0.0), _cut_off(1), _cut_off(2))
    np.testing.assert_allclose(both[-1].traffic, kept[-1].traffic, atol=1e-9)


def test_health_checks_take_minutes_to_be_believed_and_traffic_comes_back_after_the_cure() -> None:
    fault = RunningFault(fault_families()["expired_certificate"], 1, lasts_minutes=8.0)
    twin = [state.traffic[2] for state in _states(_twins(), fault, ticks=60)]
    assert max(twin[:2]) <= 1.0 + 1e-9, "moved before the third check"
    assert max(twin[3:12]) > 1.2
    assert twin[-1] == pytest.approx(1.0, abs=0.01)


def _queue(lag_minutes: float) -> Topology:
    chain = from_calls(
        ["front", "orders", "queue"],
        ["gateway", "service", "queue"],
        [(0, 1), (1, 2)],
        np.random.default_rng(0),
    )
    lags = np.where(chain.callees == 2, lag_minutes, 0.0)
    return replace(chain, lags_minutes=lags, fallbacks=np.zeros(2))


def _first(values: Sequence[float], above: float) -> int:
    return next(tick for tick, value in enumerate(values) if value > above)


def _expired() -> RunningFault:
    """An expired certificate at the queue, at full strength from the first tick."""
    return RunningFault(fault_families()["expired_certificate"], 2)


def test_an_outbox_hides_a_failing_queue_for_its_minutes_and_no_longer() -> None:
    at_once = [state.client_error[1] for state in _states(_queue(0.0), _expired())]
    later = [state.client_error[1] for state in _states(_queue(3.0), _expired())]
    delay = _first(later, 0.0) - _first(at_once, 0.0)
    assert delay * MINUTES == pytest.approx(3.0, abs=MINUTES)
    assert later[-1] == pytest.approx(at_once[-1])
    # At one reading per five minutes, a delay of three minutes falls between two readings.
    fleet = healthy_fleet(np.random.default_rng(1), 3)
    slow = run(_queue(3.0), fleet, [_expired()], 5.0, 3)
    assert slow[-1].client_error[1] == pytest.approx(at_once[-1], abs=0.2)


def test_cached_answers_hide_a_slow_store_for_minutes() -> None:
    kinds = ["gateway", "cache", "datastore"]
    topology = from_calls(["front", "cache", "store"], kinds, [(0, 1), (0, 2)], np.random.default_rng(0))
    assert topology.behind_cache.tolist() == [False, True]
    fault = RunningFault(fault_families()["slow_query"], 2)
    cached = _states(replace(topology, lags_minutes=np.array([0.0, 2.0])), fault)
    fault = RunningFault(fault_families()["slow_query"], 2)
    plain = _states(replace(topology, lags_minutes=np.zeros(2)), fault)
    slow = [[state.client_latency_s[0] for state in states] for states in (cached, plain)]
    assert _first(slow[0], 0.1) >= _first(slow[1], 0.1) + 3
    assert slow[0][-1] == pytest.approx(slow[1][-1])


def test_what_a_failing_cache_misses_its_store_gets() -> None:
    names, kinds = ["front", "cache", "store", "other"], ["gateway", "cache", "datastore", "service"]
    calls = [(0, 1), (0, 2), (0, 3)]
    topology = from_calls(names, kinds, calls, np.random.default_rng(0))
    state = _states(topology, _cut_off(1))[-1]
    assert state.traffic[2] > 1.15
    assert state.traffic[3] < 1.0


def test_a_callers_own_breaker_trades_waiting_for_failing_at_once_and_spares_the_callee() -> None:
    chain = from_calls(["front", "slow"], ["gateway", "service"], [(0, 1)], np.random.default_rng(0))
    impatient = replace(chain, timeouts_s=np.array([1.0]), fallbacks=np.zeros(1))
    with_breaker, without = (
        _states(replace(impatient, breakers=np.array([breaker])), _cut_off(1)) for breaker in (True, False)
    )
    assert without[-1].client_latency_s[0] > 0.5
    assert with_breaker[-1].client_latency_s[0] == 0.0
    assert with_breaker[-1].error_rate[0] > 0.4
    assert with_breaker[-1].traffic[1] < 0.4 * without[-1].traffic[1]
    # The breaker probes calls and closes again once they succeed.
    passing = RunningFault(fault_families()["network_partition"], 1, lasts_minutes=5.0)
    healed = _states(replace(impatient, breakers=np.ones(1, dtype=bool)), passing, ticks=60)
    assert healed[-1].traffic[1] == pytest.approx(1.0, abs=0.01)


def test_known_zones_and_versions_stand_in_for_each_other() -> None:
    names = ["user-service-az-b", "cache", "api-gateway-az-a", "user-service", "api-gateway-az-b", "cache-2"]
    assert stand_ins(names) == [0, 1, 2, 0, 2, 5]


def test_generated_systems_have_zone_twins_with_the_same_callers_and_callees() -> None:
    rng = np.random.default_rng(5)
    zoned = 0
    for graph in (generate(rng, 40) for _ in range(60)):
        assert len(graph.names) == len(set(graph.names)) == 40
        calls = set(zip(graph.callers.tolist(), graph.callees.tolist(), strict=True))
        twins = np.flatnonzero(graph.groups != np.arange(40)).tolist()
        zoned += bool(twins)
        home = {twin: int(graph.groups[twin]) for twin in twins}
        for twin, original in home.items():
            assert graph.kinds[twin] == graph.kinds[original] == "service"
            for caller, callee in calls:
                if caller == twin:
                    assert (original, home.get(callee, callee)) in calls
    assert 5 < zoned < 30


def test_played_worlds_lead_around_a_failing_zone_as_the_generator_does() -> None:
    names = ("api-gateway", "user-service", "user-service-az-b", "db-proxy", "cache")
    script = Script(
        services=names,
        faults={"user-service": "network_partition"},
        dials={"services": (5, 5), "noise": 0.0},
    )
    for seed in range(20):
        setup, other = set_up("medium", seed, None, script), set_up("medium", seed, None, script)
        topology = replace(setup.topology, breakers=setup.topology.breakers & False)
        calm = replace(topology, failovers=np.zeros(5))
        episode, still = (
            RunningEpisode(replace(setup, topology=topology)),
            RunningEpisode(replace(other, topology=calm)),
        )
        ages = []
        for _ in range(8):
            episode.step(Action(action_type="escalate"))
            still.step(Action(action_type="escalate"))
            ages.append(episode.age)
        twin = topology.names.index("user-service-az-b")
        rose = episode.state.traffic[twin] > still.state.traffic[twin] + 0.1
        assert rose == (topology.failovers[topology.names.index("user-service")] > 0.0)
        load: Load = setup.load
        demand = np.array([[load.at(tick)] * 5 for tick in range(1, ages[-1] + 1)])
        (fault,) = setup.faults
        again = RunningFault(fault.family, fault.service, fault.pace)
        states = run(topology, setup.fleet, [again], MINUTES, ages[-1], demand)
        np.testing.assert_allclose(states[-1].traffic, episode.state.traffic, atol=1e-9)


def test_generated_windows_show_traffic_rising_beside_a_culprit() -> None:
    """In a few hundred windows, at least one healthy service gets clearly more traffic."""
    config = SimulationConfig(snapshots=0.0, alerts=0.0, load_shift=0.0, healthy=0.0)
    rose = 0
    for incident in simulate(150, 12, config):
        for service, metrics in incident.telemetry.items():
            for metric, series in metrics.items():
                busy = "request" in metric and "rate" in metric and service not in incident.root_causes
                if busy and len(series.incident) > 3:
                    rose += float(np.nanmean(series.incident)) > 1.4 * float(np.nanmean(series.baseline)) > 0
    assert rose > 0


@pytest.mark.parametrize("family", ["slow_query", "disk_full", "runaway_process", "oom"])
def test_some_faults_fail_requests_only_minutes_after_they_show(family: str) -> None:
    early, late = (dict(fault_families()[family].levels(minutes, 1.0)) for minutes in (1.0, 4.0))
    assert early and Drive.ERROR not in early
    assert late[Drive.ERROR] > 0.0
