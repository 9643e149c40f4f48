"""Drift: what stays the same while the page comes and goes is no symptom."""

from dataclasses import replace

import numpy as np
import pytest

from data.channels import Channel, default_channel_map
from data.incident import Incident, Page, Series
from gnn.deviation import stack
from gnn.drift import page_course, quiet_points, renewed
from gnn.evidence import explain
from gnn.features import SERVICE_FEATURES, featurize
from gnn.rankers import make_ranker

CALM = [0.9, 1.0, 1.1] * 5
LATENCY = (Channel.LATENCY_MID, Channel.LATENCY_TAIL)
COMES_AND_GOES = np.array([0.0, 4.0, 4.0, 0.0])


def series(*incident, times=1.0):
    return Series(np.array(incident, dtype=float), np.array(CALM) * times)


def shop(telemetry, page=("web", "latency")):
    graph = {"web": ["cart", "search"], "cart": [], "search": []}
    return Incident("shop", tuple(graph), graph, telemetry, page=Page(*page))


def moved(metric, points, course=COMES_AND_GOES):
    """By how much the baseline of `metric` moves."""
    block = stack(shop({"web": {metric: points}}), default_channel_map())
    return renewed(block, quiet_points(np.asarray(course))).baseline[0, 0, 0] - block.baseline[0, 0, 0]


def test_latency_and_errors_move_up_traffic_either_way_and_what_is_inside_not_at_all():
    up, down = series(5, 5, 5, 5), series(0.5, 0.5, 0.5, 0.5)
    assert [moved(name, up) for name in ("latency_p99", "requests", "cpu_usage")] == [4.0, 4.0, 0.0]
    assert [moved(name, down) for name in ("latency_p99", "requests", "cpu_usage")] == [0.0, -0.5, 0.0]


def test_only_quiet_points_say_what_is_usual_now():
    assert moved("latency_p99", series(1, 9, 9, 1)) == 0.0
    assert moved("latency_p99", series(3, 9, 9, np.nan)) == 2.0


@pytest.mark.parametrize(
    "course",
    [(4, 4, 4, 4), (0, 1, 1, 0), (0, 0, 0, 0), (4, np.nan, np.nan, 4), (np.nan,) * 4, ()],
    ids=["always loud", "noise", "never loud", "quiet unseen", "unseen", "no points"],
)
def test_a_page_without_loud_and_quiet_points_moves_nothing(course):
    assert moved("latency_p99", series(*[5.0] * len(course)), course) == 0.0


def test_the_page_is_followed_on_the_metric_that_stands_out_most():
    telemetry = {"web": {"latency_p50": series(3, 3, 3, 3), "latency_p99": series(1, 6, np.nan, 1)}}
    block = stack(shop(telemetry), default_channel_map())
    course = page_course(block, 0, LATENCY)
    assert course[0] == course[3] == 0.0 and course[1] > 3.0 and np.isnan(course[2])
    assert not page_course(block, 0, [Channel.ERROR]).any()


@pytest.mark.parametrize("points", [(), (np.nan,), (np.nan, np.nan), (5.0,)], ids=str)
def test_a_page_is_ranked_however_little_is_measured(points):
    telemetry = {"web": {"latency_p99": series(*points), "requests": series()}}
    for page in (("web", "latency"), ("web", "availability"), ("cart", "latency"), ("gone", "latency")):
        assert len(make_ranker("gnn").rank(shop(telemetry, page)).services) == 3


def drifted():
    """Cart has been slow since long; search is slow while web is."""
    calm, sometimes, always = series(1, 1, 1, 1, 1), series(1, 6, 6, 1, 1), series(6, 6, 6, 6, 6)
    return shop(
        {
            "web": {"latency_avg": series(1, 3, 3, 1, 1), "requests": calm},
            "cart": {"latency_avg": always, "requests": calm},
            "search": {"latency_avg": sometimes, "requests": calm},
        }
    )


def test_a_service_that_is_slow_all_the_time_looks_healthy_beside_a_page_that_comes_and_goes():
    _, cart, search = featurize(drifted()).x[:, SERVICE_FEATURES.index("latency_mid.up")]
    assert cart == pytest.approx(0.0, abs=1e-6) and search > 2.0


def test_evidence_says_what_stays_the_same_while_the_page_is_quiet():
    told = explain(drifted(), ("cart", "search"), default_channel_map())
    assert told["cart"][0].endswith("since point 1 of 5, much the same while web is well")
    assert told["search"][0].endswith("since point 2 of 5")


def test_without_knowing_what_paged_nothing_is_taken_for_drift():
    unknown = replace(drifted(), page=Page("web", None))
    assert featurize(unknown).x[1, SERVICE_FEATURES.index("latency_mid.up")] > 2.0


def test_the_shipped_ranker_blames_the_one_that_keeps_time_with_the_page():
    assert make_ranker("gnn").rank(drifted()).services[0] == "search"
