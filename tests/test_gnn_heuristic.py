"""The handcrafted ranker against its golden file, and the exactness of its caller counts."""

import gzip
import json
import random
import time

import networkx as nx
import numpy as np

from data.incident import AlertEvent, Incident, Series
from data.observation import Observation, parse
from gnn.baselines.heuristic import HeuristicRanker
from gnn.baselines.reachability import transitive_caller_counts


def test_every_golden_ranking_is_reproduced(shared):
    exchanges = {}
    compared = 0
    with gzip.open(shared / "firewatch" / "heuristic_rankings.jsonl.gz", "rt") as golden:
        for line in golden:
            want = json.loads(line)
            if want["file"] not in exchanges:
                with gzip.open(shared / "firewatch" / "traffic" / want["file"], "rt") as traffic:
                    exchanges[want["file"]] = [json.loads(exchange) for exchange in traffic]
            raw = exchanges[want["file"]][want["line"]]["response"]["observation"]
            observation = parse(Observation, raw, f"{want['file']}:{want['line']}")
            ranking = HeuristicRanker().rank(Incident.from_observations([observation]))
            got = [[candidate.service, candidate.score] for candidate in ranking.candidates]
            assert got == want["ranking"], (want["file"], want["line"])
            compared += 1
    assert compared == 1934


def _plain_counts(graph):
    return {node: len(nx.ancestors(graph, node) - {node}) for node in graph}


def test_caller_counts_equal_plain_search_on_random_graphs_with_cycles():
    draw = random.Random(5)
    for _ in range(200):
        n = draw.randint(1, 14)
        graph = nx.DiGraph()
        graph.add_nodes_from(range(n))
        graph.add_edges_from((draw.randrange(n), draw.randrange(n)) for _ in range(draw.randint(0, 2 * n)))
        call_graph = {str(a): [str(b) for b in graph.successors(a)] for a in graph}
        names = [str(node) for node in graph]
        want = _plain_counts(graph)
        assert transitive_caller_counts(names, call_graph) == [want[int(name)] for name in names]


def test_caller_counts_span_several_sweeps():
    n = 20_000  # a chain: service i is reached by i others
    names = [f"s{i}" for i in range(n)]
    chain = {names[i]: [names[i + 1]] for i in range(n - 1)}
    assert transitive_caller_counts(names, chain) == list(range(n))
    ring = {**chain, names[-1]: [names[0]]}
    assert set(transitive_caller_counts(names, ring)) == {n - 1}


def test_large_layered_graphs_take_seconds():
    draw = random.Random(0)
    n = 30_000
    names = [f"s{i}" for i in range(n)]
    layered = {names[i]: [names[draw.randrange(i + 1, n)] for _ in range(3)] for i in range(n - 1)}
    started = time.perf_counter()
    counts = transitive_caller_counts(names, layered)
    assert counts[0] == 0
    assert time.perf_counter() - started < 10


def test_callers_that_are_not_monitored_count():
    counts = transitive_caller_counts(["b"], {"a": ["b"], "x": ["a"]})
    assert counts == [2]


def _observation(services, graph):
    return parse(Observation, {"services": services, "dependency_graph": graph}, "test")


def test_formula_by_hand():
    services = {
        "edge": {"status": "healthy", "http_server_error_rate": 0.01},
        "db": {
            "status": "down",
            "http_server_error_rate": 1.0,
            "http_server_request_duration_p99": 9.0,
            "process_memory_utilization": "much",
            "http_server_active_requests": 250,
        },
        "api": {"status": "degraded", "http_server_error_rate": True},
    }
    graph = {"edge": ["api"], "api": ["db"], "db": []}
    ranking = HeuristicRanker().rank(Incident.from_observations([_observation(services, graph)]))
    # db: 2 + 5 + 0 + .5 + .9·2 + .25·1 + 0 + 1; api: 2 + .9 + .25 + .05 + .4; edge is not active.
    assert [(c.service, c.score) for c in ranking.candidates] == [("db", 10.55), ("api", 3.6)]


def test_self_calls_change_nothing_and_an_empty_incident_gives_an_empty_ranking():
    services = {"a": {"status": "down"}, "b": {"status": "down"}}
    plain = HeuristicRanker().rank(Incident.from_observations([_observation(services, {"a": ["b"]})]))
    selfish = {"a": ["a", "b"], "b": ["b"]}
    assert HeuristicRanker().rank(Incident.from_observations([_observation(services, selfish)])) == plain
    assert HeuristicRanker().rank(Incident("none", (), {})).candidates == ()


def test_series_and_alerts_stand_in_for_observations():
    graph = {"web": ["db"], "db": []}
    telemetry = {
        "web": {"error_rate": Series(np.array([0.0, 0.2]))},
        "db": {"latency_p99": Series(np.array([0.1, 3.0, np.nan]))},
    }
    ranking = HeuristicRanker().rank(Incident("series", ("web", "db"), graph, telemetry))
    # db: 3.0 + .9 + .25 + .8 (critical); web: .4 + .05 + .4 (degraded).
    assert [(c.service, c.score) for c in ranking.candidates] == [("db", 4.95), ("web", 0.85)]

    alerts = (AlertEvent("db", "trace", "GET /", direction="500", caller="web"),)
    ranking = HeuristicRanker().rank(Incident("alerts", ("web", "db"), graph, alerts=alerts))
    assert ranking.services == ("db",)

    fell, rose = (
        AlertEvent(name, "metric", "availability", way) for name, way in (("db", "down"), ("web", "up"))
    )
    ranking = HeuristicRanker().rank(Incident("alerts", ("web", "db"), graph, alerts=(fell, rose)))
    assert ranking.services == ("db",)
