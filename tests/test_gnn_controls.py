"""The control networks by hand: one that sees no calls, and one with random weights."""

from dataclasses import replace

import numpy as np
import pytest

from data.incident import AlertEvent, Incident, Page, Series
from data.simulator.batch.generate import simulate
from gnn.ranker import Ranker
from gnn.registry import make_ranker

CONTROLS = ("mlp", "untrained")


def shop(**fields: object) -> Incident:
    """web → api → (db, cache): db fails in every way, its callers are slow."""
    graph = {"web": ["api"], "api": ["db", "cache"], "db": [], "cache": []}
    past = np.array([1.0, 1.1, 0.9, 1.2, 0.8])
    slow = {"web": 1.6, "api": 2.0, "db": 9.0, "cache": 1.05}
    telemetry = {
        name: {
            "latency_p99": Series(np.full(4, value), past),
            "cpu_usage": Series(np.full(4, value), past),
            "error_count": Series(np.full(4, value), past),
        }
        for name, value in slow.items()
    }
    return replace(Incident("shop", tuple(graph), graph, telemetry), **fields)


def probabilities(ranker: Ranker, incident: Incident) -> dict[str, float | None]:
    return {candidate.service: candidate.probability for candidate in ranker.rank(incident).candidates}


def test_the_control_without_a_graph_finds_the_loudest_culprit() -> None:
    assert make_ranker("mlp").rank(shop()).services[0] == "db"
    alerts = tuple(AlertEvent("db", "metric", name, "up") for name in ("error_rate", "cpu", "latency_p99"))
    told = shop(telemetry={}, alerts=(*alerts, AlertEvent("api", "metric", "latency_p99", "up")))
    assert make_ranker("mlp").rank(told).services[0] == "db"


def test_the_control_without_a_graph_sees_no_call() -> None:
    turned = {"db": ["api"], "api": ["web"], "cache": ["web", "db"]}
    ranker = make_ranker("mlp")
    assert probabilities(ranker, shop(call_graph=turned)) == probabilities(ranker, shop())
    assert probabilities(ranker, shop(call_graph={})) == probabilities(ranker, shop())
    trained = make_ranker("gnn")
    assert probabilities(trained, shop(call_graph=turned)) != probabilities(trained, shop())


def test_fresh_weights_are_those_of_their_seed() -> None:
    first, again, other = (make_ranker("untrained", seed=seed) for seed in (1, 1, 2))
    assert probabilities(first, shop()) == probabilities(again, shop()) != probabilities(other, shop())


@pytest.mark.parametrize("name", CONTROLS)
def test_whom_nothing_tells_apart_is_suspected_alike(name: str) -> None:
    point = Series(np.array([4.0, 4.0]), np.ones(5))
    names = ("a", "b", "c", "d")
    ring = {caller: [callee] for caller, callee in zip(names, (*names[1:], "a"), strict=True)}
    incident = Incident("ring", names, ring, {service: {"latency_p99": point} for service in names})
    assert list(probabilities(make_ranker(name), incident).values()) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("name", CONTROLS)
def test_renaming_changes_no_probability(name: str) -> None:
    incident, ranker = shop(page=Page("web", "latency")), make_ranker(name)
    new = {service: f"renamed-{service}" for service in incident.services}
    renamed = replace(
        incident,
        services=tuple(new.values()),
        call_graph={new[a]: [new[b] for b in callees] for a, callees in incident.call_graph.items()},
        telemetry={new[a]: metrics for a, metrics in incident.telemetry.items()},
        page=Page(new["web"], "latency"),
    )
    want = {new[service]: value for service, value in probabilities(ranker, incident).items()}
    assert probabilities(ranker, renamed) == want


def test_where_nothing_is_measured_the_network_names_nobody() -> None:
    ranking = make_ranker("gnn").rank(shop(telemetry={}))
    assert ranking.unsure and ranking.incident_probability is None
    assert not make_ranker("gnn").rank(shop()).unsure


def test_a_quiet_system_is_less_of_an_incident_than_a_broken_one() -> None:
    """At even prior odds, on unseen worlds: at least three of four of each kind."""
    ranker = make_ranker("gnn")
    chances: dict[bool, list[float]] = {True: [], False: []}
    for incident in simulate(500, seed=1_000_009):
        if (chance := ranker.rank(incident).incident_probability) is not None:
            chances[bool(incident.root_causes)].append(chance)
    assert np.mean(np.array(chances[True]) > 0.5) > 0.75
    assert np.mean(np.array(chances[False]) < 0.5) > 0.75
