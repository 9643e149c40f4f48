"""Laws of fault propagation, and the same numbers in the environment and the batch generator."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from data.faults.drives import Drive
from data.faults.families import fault_families
from data.observation import Action
from data.simulator import catalogue
from data.simulator.active_faults import RunningFault, drives, hidden_shares
from data.simulator.batch.generate import run
from data.simulator.batch.variants import replicate
from data.simulator.physics import Fleet, Physics, State
from data.simulator.topology import KINDS, Topology, from_calls, generate, union
from data.simulator.world.scenario import healthy_fleet, set_up
from data.simulator.world.world import RunningEpisode


def _chain(length: int = 4, waiting: float = 1.0) -> Topology:
    rng = np.random.default_rng(0)
    names = [f"s{i}" for i in range(length)]
    return from_calls(names, ["service"] * length, [(i, i + 1) for i in range(length - 1)], rng, waiting)


def _states(topology: Topology, faults: list[RunningFault], ticks: int = 12) -> list[State]:
    return run(topology, healthy_fleet(np.random.default_rng(1), len(topology.names)), faults, 0.5, ticks)


def test_failures_flow_from_callee_to_caller_only() -> None:
    calm = _states(_chain(), [])
    ill = _states(_chain(), [RunningFault(fault_families()["network_partition"], 2)])
    worse = ill[-1].error_rate - calm[-1].error_rate
    assert (worse[:3] > 0.1).all()
    assert worse[3] == pytest.approx(0.0)
    assert ill[-1].traffic[3] < 0.7 * calm[-1].traffic[3]


@pytest.mark.parametrize("family", ["cache_stampede", "retry_storm"])
def test_a_surge_reaches_the_callees(family: str) -> None:
    states = _states(_chain(), [RunningFault(fault_families()[family], 2)])
    assert states[-1].traffic[3] > 1.5
    assert states[-1].traffic[1] == pytest.approx(1.0, abs=0.5)
    ring = from_calls(["a", "b"], ["service"] * 2, [(0, 1), (1, 0)], np.random.default_rng(0))
    assert (_states(ring, [RunningFault(fault_families()[family], 1)], 200)[-1].traffic < 50.0).all()


def test_waiting_adds_up_along_synchronous_calls() -> None:
    slow = _states(_chain(3), [RunningFault(fault_families()["network_delay"], 2)])
    quick = _states(_chain(3, waiting=0.0), [RunningFault(fault_families()["network_delay"], 2)])
    assert slow[-1].latency_s[0] > quick[-1].latency_s[0] + 0.3
    assert slow[-1].client_latency_s[2] == 0.0


@pytest.mark.parametrize("family", sorted(fault_families()))
def test_states_stay_within_their_ranges(family: str) -> None:
    rng = np.random.default_rng(2)
    for size in (3, 9, 40):
        topology = generate(rng, size)
        service = int(rng.integers(size))
        for state in _states(topology, [RunningFault(fault_families()[family], service, pace=3.0)], 40):
            for name in ("error_rate", "client_error", "cpu", "memory", "saturation"):
                values = getattr(state, name)
                assert (values >= -1e-9).all() and (values <= 1.0 + 1e-9).all(), name
            assert all(np.isfinite(values).all() for values in state)
            assert (state.latency_s > 0.0).all() and (state.traffic >= 0.0).all()


def test_callers_swallow_retry_and_give_up_waiting() -> None:
    plain = replace(_chain(2), fallbacks=np.zeros(1), retries=np.zeros(1), breakers=np.zeros(1, dtype=bool))

    def last(family: str, **changes: list[float]) -> State:
        arrays = {name: np.array(values) for name, values in changes.items()}
        topology = replace(plain, **arrays)  # type: ignore[arg-type]
        return _states(topology, [RunningFault(fault_families()[family], 1)], 24)[-1]

    passed_on = last("bad_deploy", fallbacks=[0.0])
    assert last("bad_deploy", fallbacks=[1.0]).client_error[0] == 0.0 < passed_on.client_error[0]
    assert last("bad_deploy", retries=[2.0]).traffic[1] > 1.5 * passed_on.traffic[1]
    for patience_s in (1.0, 2.0):
        waiting = last("network_partition", timeouts_s=[patience_s])
        assert waiting.client_latency_s[0] == pytest.approx(patience_s)
    twice = last("network_partition", timeouts_s=[1.0], retries=[1.0])
    assert twice.client_latency_s[0] == pytest.approx(2.0)


def test_a_full_pool_refuses_and_its_caller_fails_with_it() -> None:
    deadlock = RunningFault(
        fault_families()["thread_deadlock"], 1, strength=np.eye(len(Drive))[Drive.SATURATION]
    )
    plain = replace(_chain(2), fallbacks=np.zeros(1))
    first, *_, last = _states(plain, [deadlock], 20)
    assert first.saturation[1] < 0.9 < last.saturation[1]
    assert last.error_rate[1] > first.error_rate[1] + 0.1
    assert last.error_rate[0] > first.error_rate[0] + 0.1


def test_nothing_happens_without_a_fault() -> None:
    topology = generate(np.random.default_rng(3), 30)
    states = _states(topology, [])
    for state in states:
        for now, then in zip(state, states[0], strict=True):
            np.testing.assert_allclose(now, then, atol=1e-12)
    assert (states[-1].client_error == 0.0).all()


def test_permuting_the_services_permutes_the_states() -> None:
    rng = np.random.default_rng(4)
    topology = generate(rng, 25)
    fleet = healthy_fleet(rng, 25)
    order = rng.permutation(25)  # new position → old position
    place = np.argsort(order)
    calls = np.lexsort((place[topology.callees], place[topology.callers]))
    moved = Topology(
        names=tuple(topology.names[i] for i in order),
        kinds=tuple(topology.kinds[i] for i in order),
        callers=place[topology.callers][calls],
        callees=place[topology.callees][calls],
        shares=topology.shares[calls],
        waits=topology.waits[calls],
        timeouts_s=topology.timeouts_s[calls],
        retries=topology.retries[calls],
        fallbacks=topology.fallbacks[calls],
        lags_minutes=topology.lags_minutes[calls],
        breakers=topology.breakers[calls],
        groups=topology.groups[order],
        failovers=topology.failovers[order],
    )
    moved_fleet = Fleet(**{name: getattr(fleet, name)[order] for name in Fleet.__dataclass_fields__})
    here = run(topology, fleet, [RunningFault(fault_families()["slow_query"], 7)], 0.5, 15)
    there = run(moved, moved_fleet, [RunningFault(fault_families()["slow_query"], int(place[7]))], 0.5, 15)
    for a, b in zip(here[-1], there[-1], strict=True):
        np.testing.assert_allclose(a[order], b, atol=1e-9)


@pytest.mark.parametrize("calls", [[], [(0, 0)], [(0, 1), (1, 0)]])
def test_degenerate_graphs(calls: list[tuple[int, int]]) -> None:
    topology = from_calls(["a", "b"], ["service"] * 2, calls, np.random.default_rng(0))
    for state in _states(topology, [RunningFault(fault_families()["bad_deploy"], 1)], 30):
        assert all(np.isfinite(values).all() for values in state)


def test_environment_and_generator_agree_to_the_last_digit() -> None:
    tasks = [*catalogue.smoke_tasks(), *catalogue.random_tasks(12, "all", 9)]
    setups = [
        set_up(t.difficulty, t.seed, t.task_id, catalogue.scenarios().get(t.task_id or "")) for t in tasks
    ]
    ticks = 30
    whole = union([setup.topology for setup in setups])
    sizes = [len(setup.topology.names) for setup in setups]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    fleet = Fleet(
        **{
            name: np.concatenate([getattr(setup.fleet, name) for setup in setups])
            for name in Fleet.__dataclass_fields__
        }
    )
    faults = [
        RunningFault(fault.family, fault.service + int(offset), fault.pace)
        for setup, offset in zip(setups, offsets, strict=False)
        for fault in setup.faults
    ]
    demand = np.ones((ticks, int(offsets[-1])))
    for setup, offset, size in zip(setups, offsets, sizes, strict=False):
        demand[:, offset : offset + size] = [[setup.load.at(tick)] for tick in range(1, ticks + 1)]
    batch = run(whole, fleet, faults, 0.5, ticks, demand)
    for setup, offset, size in zip(setups, offsets, sizes, strict=False):
        episode = RunningEpisode(setup)
        unseen = episode.age
        for tick in range(unseen, ticks + 1):
            together = batch[tick - 1]
            for name, alone in episode.state._asdict().items():
                np.testing.assert_allclose(getattr(together, name)[offset : offset + size], alone, atol=1e-9)
            if tick == ticks or episode.done:
                break
            episode.step(Action(action_type="escalate"))


@pytest.mark.parametrize("family", ["network_partition", "network_delay"])
def test_circuit_breaker_spares_the_callers(family: str) -> None:
    topology = _chain(2)
    fleet = healthy_fleet(np.random.default_rng(1), 2)
    faults = [RunningFault(fault_families()[family], 1, minutes=5.0)]
    for opened in (True, False):
        physics = Physics(topology, fleet)
        for _ in range(8):
            faults[0].advance(0.5)
            cut = np.array([opened])
            state = physics.step(drives(faults, 2), hidden_shares(faults, 2), 0.5, None, cut)
        assert (state.error_rate[0] < 0.05 and state.client_latency_s[0] == 0.0) == opened
        assert (state.traffic[1] == 0.0) == opened


@pytest.mark.parametrize("size", [3, 4, 12, 60, 400, 5000])
def test_generated_graphs_hang_together(size: int) -> None:
    topology = generate(np.random.default_rng(size), size)
    assert len(topology.names) == len(set(topology.names)) == size
    assert (np.diff(topology.callers) >= 0).all()
    assert (topology.callers != topology.callees).all()
    connected = np.zeros(size, dtype=bool)
    connected[topology.callers] = connected[topology.callees] = True
    assert connected.mean() > 0.9


def test_generated_graphs_have_the_shapes_of_real_systems() -> None:
    rng = np.random.default_rng(6)
    graphs = [generate(rng, 60) for _ in range(60)]
    assert {kind for graph in graphs for kind in graph.kinds} == set(KINDS)
    shared = 0
    for graph in graphs:
        users = np.bincount(graph.callees, minlength=60)
        stores = np.array([kind in ("datastore", "cache") for kind in graph.kinds])
        shared += int(users[stores].max()) > 2
        queues = np.array([kind == "queue" for kind in graph.kinds])
        assert np.bincount(graph.callers).max() > 2, "nobody fans out"
        assert (graph.waits[queues[graph.callees]] == 0.0).all(), "somebody waits for a queue"
        assert (graph.waits[~queues[graph.callees]] > 0.0).all()
    assert shared > 30, "stores are hardly ever shared"
    assert max(graph.depth for graph in graphs) >= 4
    rings = [not nx.is_directed_acyclic_graph(nx.DiGraph(graph.call_graph)) for graph in graphs]
    assert 0 < sum(rings) < 15
    twins = replicate(generate(rng, 6), rng)
    assert any(name.endswith("-1") for name in twins.names)


def test_hidden_trouble_shows_at_callers() -> None:
    states = _states(_chain(3), [RunningFault(fault_families()["code_defect"], 2)])
    assert states[-1].error_rate[1] > states[-1].error_rate[2] + 0.1
    assert states[-1].error_rate[2] < 0.2
    assert Drive.ERROR == 0
