"""Adding a healthy service without calls doesn't change the order of the others."""

from dataclasses import replace

import numpy as np
import pytest

from data.incident import AlertEvent, Incident, Page, Series
from data.simulator.batch.generate import SimulationConfig, simulate
from gnn.features.featurize import MODES, featurize
from gnn.features.isolated_services import isolated_services, merge_scores
from gnn.registry import make_ranker

ADDED = "added"


def worlds(mode: str) -> list[Incident]:
    """Simulated incidents of one kind of evidence, with at least one call."""
    config = SimulationConfig(most_services=12)
    kept = [
        incident
        for incident in simulate(400, seed=11, config=config)
        if MODES[featurize(incident).mode] == mode and featurize(incident).edge_index.size
    ]
    assert len(kept) > 20
    return kept


def joined(incident: Incident) -> Incident:
    """Adds a service that has every metric, steady or at the typical value."""
    rows = [metrics for metrics in incident.telemetry.values() if metrics]
    rng = np.random.default_rng(0)
    steady: dict[str, Series] = {}
    for name, series in rows[0].items() if rows else ():
        past, now = len(series.baseline), len(series.incident)
        if past:
            noise = 0.1 * rng.standard_normal(past + now).clip(-1, 1)
            steady[name] = Series(10.0 + noise[past:], 10.0 + noise[:past])
        else:
            level = np.nanmedian([row[name].incident[-1] for row in rows if name in row])
            steady[name] = Series(np.full(now, level))
    return replace(
        incident,
        services=(*incident.services, ADDED),
        call_graph={**incident.call_graph, ADDED: []},
        telemetry={**incident.telemetry, ADDED: steady} if steady else incident.telemetry,
        observations=(),
    )


def test_an_isolated_service_leaves_the_order() -> None:
    ranker = make_ranker("gnn")
    for incident in worlds("baselined"):
        others = [name for name in ranker.rank(joined(incident)).services if name != ADDED]
        assert tuple(others) == ranker.rank(incident).services


@pytest.mark.parametrize("mode", ["snapshot", "alerts"])
def test_without_a_past_an_isolated_service_leaves_the_first_place(mode: str) -> None:
    """Without a baseline, services are compared with each other, so a new one may change lower places."""
    ranker = make_ranker("gnn")
    cases = worlds(mode)
    kept = sum(ranker.rank(joined(case)).services[0] == ranker.rank(case).services[0] for case in cases)
    assert kept / len(cases) > 0.9


def series(now: float) -> dict[str, Series]:
    past = np.array([1.0, 1.1, 0.9, 1.0, 1.05, 0.95])
    return {"latency_p99": Series(np.full(3, now), past)}


def test_who_is_abnormal_called_or_paging_is_not_isolated() -> None:
    names = ("web", "api", "batch", "idle")
    graph = {"web": ["api"], "batch": ["batch"]}
    telemetry = {"web": series(5.0), "api": series(9.0), "batch": series(1.0), "idle": series(1.0)}
    calm = Incident("i", names, graph, telemetry)
    assert isolated_services(featurize(calm)).tolist() == [False, False, True, True]
    loud = replace(calm, telemetry={**telemetry, "batch": series(9.0)})
    assert isolated_services(featurize(loud)).tolist() == [False, False, False, True]
    paging = replace(calm, page=Page("idle"))
    assert isolated_services(featurize(paging)).tolist() == [False, False, True, False]
    alerting = replace(calm, alerts=(AlertEvent("idle", "log", "pattern 3"),))
    assert isolated_services(featurize(alerting)).tolist() == [False, False, True, False]
    without_calls = replace(calm, call_graph={})
    assert not isolated_services(featurize(without_calls)).any()


def test_isolated_services_keep_their_places_among_the_others() -> None:
    among_all = np.array([3.0, 2.5, 1.0, 0.5, 9.0], np.float32)
    gone = np.array([False, True, False, True, True])
    scores = merge_scores(among_all, np.array([7.0, 6.0], np.float32), gone)
    assert scores[[0, 2]].tolist() == [7.0, 6.0]
    assert 6.0 <= scores[1] <= 7.0 and scores[3] <= 6.0 and scores[4] >= 7.0
