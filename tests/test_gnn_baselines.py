"""Each published ranker on a case small enough to do by hand, and the laws of all rankers."""

import networkx as nx
import numpy as np
import pytest

from data.channels import ChannelMap, read_rules
from data.incident import AlertEvent, Incident, Page, Series
from data.observation import Observation, parse
from gnn.baselines.deviation import metric_deviations, point_deviations
from gnn.baselines.heuristic import HeuristicRanker
from gnn.registry import make_ranker

ALL = [
    HeuristicRanker(),
    make_ranker("random"),
    make_ranker("zscore"),
    make_ranker("zscore-sum"),
    make_ranker("baro"),
    make_ranker("pagerank"),
    make_ranker("traversal"),
]
INFORMED = [ranker for ranker in ALL if ranker.name != "random"]
CALM = [1.0, 1.1, 0.9, 1.2, 0.8]  # median 1, MAD .1, IQR .2


def series(*incident, baseline=CALM):
    return Series(np.array(incident, dtype=float), np.array(baseline, dtype=float))


def shop(telemetry=None, **fields):
    """web → api → (db, cache): the failure of db makes api and web slow."""
    graph = {"web": ["api"], "api": ["db", "cache"], "db": [], "cache": []}
    slow = {
        "web": {"latency_p99": series(2.0)},
        "api": {"latency_p99": series(3.0)},
        "db": {"latency_p99": series(6.0)},
        "cache": {"latency_p99": series(1.05)},
    }
    return Incident("shop", tuple(graph), graph, slow if telemetry is None else telemetry, **fields)


def scores(ranking):
    return {candidate.service: candidate.score for candidate in ranking.candidates}


def test_deviation_is_counted_in_mads_and_positive_in_the_bad_direction():
    mad = 1.4826 * 0.1
    telemetry = {
        "web": {"latency_p99": series(2.0, np.nan, 4.0), "availability": series(0.5)},
        "api": {"serial_number_of_nothing": series(99.0)},
    }
    found = point_deviations(shop(telemetry))
    np.testing.assert_allclose(found["web"]["latency_p99"], [1 / mad, np.nan, 3 / mad])
    np.testing.assert_allclose(found["web"]["availability"], [0.5 / mad])
    assert found["api"] == {} and found["db"] == {}
    assert metric_deviations(shop(telemetry))["web"]["latency_p99"] == pytest.approx(2 / mad)


def test_without_a_past_the_peers_are_the_measure():
    telemetry = {
        name: {"error_rate": Series(np.array([0.5, value]))}
        for name, value in {"web": 0.1, "api": 0.2, "db": 0.9, "cache": 0.3}.items()
    }
    mad = 1.4826 * 0.1
    found = metric_deviations(shop(telemetry))
    assert found["db"]["error_rate"] == pytest.approx((0.9 - 0.25) / mad)
    assert found["web"]["error_rate"] == pytest.approx(0.15 / mad)
    assert (
        metric_deviations(shop({"web": telemetry["web"], "db": telemetry["db"]}))["db"] == {}
    )  # two are no crowd


def test_constant_pasts_and_peers_give_finite_deviations():
    quiet = {name: {"error_rate": series(0.0, baseline=[0.0] * 5)} for name in ("web", "api", "db")}
    telemetry = {**quiet, "cache": {"error_rate": series(0.4, baseline=[0.0] * 5)}}
    assert {s: d["error_rate"] for s, d in metric_deviations(shop(telemetry)).items()} == {
        "web": 0,
        "api": 0,
        "db": 0,
        "cache": 1,
    }


def test_zscore_takes_the_largest_or_the_sum():
    mad = 1.4826 * 0.1
    telemetry = {
        "web": {"latency_p99": series(2.0), "cpu": series(2.0), "memory": series(2.0)},
        "db": {"latency_p99": series(3.0)},
    }
    largest = scores(make_ranker("zscore").rank(shop(telemetry)))
    assert largest == pytest.approx({"db": 2 / mad, "web": 1 / mad, "api": 0, "cache": 0})
    summed = scores(make_ranker("zscore-sum").rank(shop(telemetry)))
    assert summed["web"] == pytest.approx(3 * np.arcsinh(1 / mad))
    assert summed["web"] > summed["db"]


def test_baro_takes_the_largest_rise_in_interquartile_ranges():
    telemetry = {
        "web": {"latency_p99": series(1.0, 1.6, 1.1)},  # (1.6 - 1) / .2
        "api": {"latency_p99": series(0.0)},  # a fall is no rise
        "db": {"errors": series(5.0, baseline=[2.0] * 5)},  # IQR 0: raw units
    }
    found = scores(make_ranker("baro").rank(shop(telemetry)))
    assert found == pytest.approx({"web": 3.0, "db": 3.0, "api": 0.0, "cache": 0.0})


def test_pagerank_equals_the_walk_solved_by_hand():
    # web → db, anomalies a < b: the walker leaves web for db, likes to stay at db, sometimes turns back.
    alerts = (AlertEvent("web", "log", "x"), AlertEvent("db", "log", "x"), AlertEvent("db", "log", "y"))
    incident = Incident("pair", ("web", "db"), {"web": ["db"]}, alerts=alerts)
    a, b = 1.01, 2.01
    leave, stay = b / (b + 0.01), 0.01 / (b + 0.01)
    turn, like = 0.1 * a, b - a + 0.01
    back, remain = turn / (turn + like), like / (turn + like)
    walk = np.array([[stay, back], [leave, remain]])
    start = np.array([a, b]) / (a + b)
    want = np.linalg.solve(np.eye(2) - 0.85 * walk, 0.15 * start)
    got = scores(make_ranker("pagerank").rank(incident))
    assert [got["web"], got["db"]] == pytest.approx(list(want), abs=1e-5)


def test_traversal_blames_the_deepest_abnormal_service_on_a_path_from_the_page():
    ranking = make_ranker("traversal").rank(shop(page=Page("web", "latency")))
    mad = 1.4826 * 0.1
    assert scores(ranking) == pytest.approx({"db": (1 + 2 + 5) / mad})


def test_traversal_looks_only_at_the_metric_that_paged_and_at_its_worst_point():
    telemetry = {
        "web": {"latency_p99": series(1.0, 3.0), "availability": series(1.0, 1.0)},
        "api": {"latency_p99": series(1.0, 2.0), "availability": series(0.0, 0.0)},
        "cache": {"latency_p99": series(9.0, 1.0), "availability": series(0.0, 0.0)},
    }
    assert make_ranker("traversal").rank(shop(telemetry, page=Page("web", "latency"))).services == ("api",)
    assert make_ranker("traversal").rank(shop(telemetry, page=Page("web", "availability"))).services == (
        "cache",
    )


def test_traversal_holds_a_page_against_plain_mads_of_ten_points_and_any_departure_from_a_constant():
    telemetry = {
        "web": {"availability": series(99.0, baseline=2 * [99.9, 99.8, 99.7, 100.0, 99.9])},
        "api": {"availability": series(99.9, baseline=10 * [100.0])},
        "db": {"availability": series(99.9, baseline=10 * [100.0])},
        "cache": {"availability": series(100.0, baseline=10 * [99.0])},
    }
    ranking = make_ranker("traversal").rank(shop(telemetry, page=Page("web", "availability")))
    mad = 1.4826 * 0.1
    assert scores(ranking) == pytest.approx({"db": 0.9 / mad + 10 + 10})
    telemetry["db"]["success_rate"] = series(np.nan, baseline=10 * [100.0])
    again = make_ranker("traversal").rank(shop(telemetry, page=Page("web", "availability")))
    assert scores(again) == scores(ranking), "what is never measured counts for nothing"


def test_traversal_counts_series_from_the_start_of_the_incident():
    telemetry = {
        "web": {"latency_p99": series(1.0, 9.0, 9.0, 1.0)},
        "api": {"latency_p99": series(1.0, 9.0)},  # no longer reported, and bad until then
    }
    assert make_ranker("traversal").rank(shop(telemetry, page=Page("web", "latency"))).services == ("api",)


def test_traversal_ends_on_cycles_and_starts_anywhere_without_a_page():
    telemetry = {name: {"latency_p99": series(4.0)} for name in ("a", "b", "c")}
    ring = {"a": ["b"], "b": ["c", "b"], "c": ["a"]}
    incident = Incident("ring", ("a", "b", "c"), ring, telemetry)
    assert set(make_ranker("traversal").rank(incident).services) == {"a", "b", "c"}


def test_random_is_fair_and_repeatable():
    graph = {"a": [], "b": [], "c": []}
    first = [
        make_ranker("random", seed=1).rank(Incident(str(i), tuple(graph), graph)).services[0]
        for i in range(600)
    ]
    assert all(first.count(name) > 150 for name in graph)
    incident = Incident("x", tuple(graph), graph)
    assert make_ranker("random", seed=1).rank(incident) == make_ranker("random", seed=1).rank(incident)
    assert len({make_ranker("random", seed=seed).rank(incident).services for seed in range(50)}) == 6


@pytest.mark.parametrize("ranker", ALL, ids=lambda ranker: ranker.name)
def test_degenerate_incidents_are_ranked_too(ranker):
    observed = parse(Observation, {"services": {"a": {"status": "down"}}}, "test")
    assert ranker.rank(Incident("none", (), {})).candidates == ()
    assert len(ranker.rank(Incident("silent", ("a", "b"), {"a": ["b", "unmonitored"]})).services) <= 2
    assert len(ranker.rank(Incident.from_observations([observed])).services) <= 1
    selfish = Incident("self", ("a",), {"a": ["a"]}, {"a": {"errors": Series(np.array([np.nan]))}})
    assert len(ranker.rank(selfish).services) <= 1


@pytest.mark.parametrize("ranker", INFORMED, ids=lambda ranker: ranker.name)
def test_renaming_and_reordering_services_changes_nothing(ranker):
    incident = shop()
    new = {"web": "z", "api": "k", "db": "q", "cache": "b"}
    order = ("cache", "web", "db", "api")
    renamed = Incident(
        "renamed",
        tuple(new[name] for name in order),
        {new[name]: [new[callee] for callee in incident.call_graph[name]] for name in order},
        {new[name]: incident.telemetry[name] for name in order},
    )
    want = {new[name]: value for name, value in scores(ranker.rank(incident)).items()}
    assert scores(ranker.rank(renamed)) == pytest.approx(want)


@pytest.mark.parametrize("name", [ranker.name for ranker in INFORMED])
def test_renaming_a_metric_changes_nothing_for_who_is_told_its_meaning(name, tmp_path):
    (tmp_path / "rules.toml").write_text('[[rule]]\nchannel = "latency_tail"\npatterns = ["^zorp$"]\n')
    told = ChannelMap(read_rules(tmp_path / "rules.toml"))

    def shop_of(metric):
        telemetry = {service: {metric: own["latency_p99"]} for service, own in shop().telemetry.items()}
        return shop(telemetry, alerts=(AlertEvent("db", "metric", metric, "up"),))

    known, renamed = shop_of("latency_p99"), shop_of("zorp")
    want = scores(make_ranker(name).rank(known))
    assert scores(make_ranker(name, channel_map=told).rank(renamed)) == want
    assert scores(make_ranker(name).rank(renamed)) != want


@pytest.mark.parametrize("ranker", INFORMED, ids=lambda ranker: ranker.name)
def test_the_culprit_is_found_from_series_snapshots_and_alerts(ranker):
    assert ranker.rank(shop()).services[0] == "db"
    services = {
        name: {"status": status, "http_server_error_rate": error}
        for name, status, error in (
            ("web", "degraded", 0.2),
            ("api", "degraded", 0.21),
            ("db", "down", 0.95),
            ("cache", "healthy", 0.01),
        )
    }
    raw = {"services": services, "dependency_graph": shop().call_graph}
    snapshot = Incident.from_observations([parse(Observation, raw, "test")])
    assert ranker.rank(snapshot).services[0] == "db"
    alerts = (
        AlertEvent("db", "metric", "error_rate", "up"),
        AlertEvent("db", "trace", "GET", "500", "api"),
        AlertEvent("host", "metric", "node_cpu", "up"),
    )
    assert ranker.rank(shop({}, alerts=alerts)).services[0] == "db"


def test_pagerank_shares_one_walker_among_the_services_of_a_larger_graph():
    graph = nx.gnp_random_graph(60, 0.05, seed=1, directed=True)
    call_graph = {str(node): [str(callee) for callee in graph.successors(node)] for node in graph}
    alerts = tuple(AlertEvent("7", "log", str(i)) for i in range(9))
    ranking = make_ranker("pagerank").rank(Incident("large", tuple(call_graph), call_graph, alerts=alerts))
    assert ranking.services[0] == "7"
    assert sum(candidate.score for candidate in ranking.candidates) == pytest.approx(1.0)
