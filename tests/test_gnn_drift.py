"""Drift: what doesn't follow an intermittent page is no symptom."""

from dataclasses import replace

import numpy as np
import pytest
from telling import sentences_of

from data.channels import default_channel_map
from data.incident import Incident, Page, Series
from gnn.features.drift import page_deviation, paged_channels, quiet_points, shift_baselines
from gnn.features.featurize import SERVICE_FEATURES, featurize
from gnn.features.stack import CHANNEL_INDEX, stack
from gnn.registry import make_ranker

CALM = [0.9, 1.0, 1.1] * 5
PAGE = Page("web", "latency")
COMES_AND_GOES = (1, 9, 9, 1)


def series(*incident):
    return Series(np.array(incident, dtype=float), np.array(CALM))


def shop(telemetry, page=PAGE):
    graph = {"web": ["cart", "search"], "cart": [], "search": []}
    return Incident("shop", tuple(graph), graph, telemetry, page=page)


def quiet(block, page=PAGE):
    """The points at which web is healthy."""
    return quiet_points(page_deviation(block, 0, paged_channels(page)), page)


def moved(metric, points, page=COMES_AND_GOES):
    """How far the baseline of cart's `metric` shifts if web's latency is `page`."""
    block = stack(
        shop({"web": {"latency_avg": series(*page)}, "cart": {metric: points}}), default_channel_map()
    )
    row = block.channel.tolist().index(CHANNEL_INDEX[default_channel_map()(metric).channel])
    after = shift_baselines(block, quiet(block))
    return after.baseline[row, 1, 0] - block.baseline[row, 1, 0]


def test_latency_and_errors_move_up_traffic_either_way_and_what_is_inside_not_at_all():
    up, down = series(5, 5, 5, 5), series(0.5, 0.5, 0.5, 0.5)
    assert [moved(name, up) for name in ("latency_p99", "requests", "cpu_usage")] == [4.0, 4.0, 0.0]
    assert [moved(name, down) for name in ("latency_p99", "requests", "cpu_usage")] == [0.0, -0.5, 0.0]


def test_only_quiet_points_say_what_is_usual_now():
    assert moved("latency_p99", series(1, 9, 9, 1)) == 0.0
    assert moved("latency_p99", series(3, 9, 9, np.nan)) == 2.0
    assert moved("latency_p99", series(3, 3, 9), (1, 1, 9)) == 2.0


@pytest.mark.parametrize(
    "page",
    [
        (9, 9, 9, 9),
        (1, 1.2, 1.2, 1),
        (1, 1, 1, 1),
        (2, 9, 9, 2),
        (1, 9, 9, 9),
        (9, np.nan, np.nan, 9),
        (np.nan,) * 4,
        (1, 1, 1, 1, 1, 1, 1, 1, 1, 9),
    ],
    ids=["loud", "noise", "well", "never well", "one quiet", "quiet unseen", "unseen", "one loud of many"],
)
def test_a_page_that_does_not_come_and_go_moves_nothing(page):
    assert moved("latency_p99", series(*[5.0] * len(page)), page) == 0.0


def test_a_page_is_there_while_any_metric_of_its_kind_is_bad():
    telemetry = {"web": {"latency_p50": series(9, 9, 9, 9), "latency_p99": series(1, 3, 3, 1)}}
    block = stack(shop(telemetry), default_channel_map())
    assert not quiet(block).any()
    del telemetry["web"]["latency_p50"]
    block = stack(shop(telemetry), default_channel_map())
    assert quiet(block).tolist() == [True, False, False, True]
    for unknown in (Page("web", None), Page("web", "slo"), Page("web", "availability"), None):
        assert not quiet(block, unknown).any()


@pytest.mark.parametrize("points", [(), (np.nan,), (np.nan, np.nan), (5.0,)], ids=str)
def test_a_page_is_ranked_however_little_is_measured(points):
    telemetry = {"web": {"latency_p99": series(*points), "requests": series()}}
    for page in (PAGE, Page("web", "availability"), Page("cart", "latency"), Page("gone", "latency")):
        assert len(make_ranker("gnn").rank(shop(telemetry, page)).services) == 3


def drifted(metric="latency_avg"):
    """Cart has long been slow and gets few requests now; search is slow while web is."""
    calm, sometimes, always = series(1, 1, 1, 1, 1), series(1, 6, 6, 1, 1), series(6, 6, 6, 6, 6)
    return shop(
        {
            "web": {metric: series(1, 3, 3, 1, 1), "requests": calm},
            "cart": {metric: always, "requests": series(0.1, 0.1, 0.1, 0.1, 0.1)},
            "search": {metric: sometimes, "requests": calm},
        }
    )


@pytest.mark.parametrize(
    ("metric", "channel"), [("latency_avg", "latency_mid"), ("latency_p99", "latency_tail")]
)
def test_a_service_that_is_slow_all_the_time_looks_healthy_beside_a_page_that_comes_and_goes(metric, channel):
    x = featurize(drifted(metric)).x
    _, cart, search = x[:, SERVICE_FEATURES.index(f"{channel}.up")]
    assert cart == pytest.approx(0.0, abs=1e-6) and search > 2.0
    contrast = x[:, SERVICE_FEATURES.index("contrast")]
    assert contrast == pytest.approx(x[:, SERVICE_FEATURES.index(f"{channel}.timing")])


def test_evidence_leaves_out_what_stays_the_same_while_the_page_is_quiet():
    told = sentences_of(drifted(), ("cart", "search"))
    assert not any("rose" in sentence for sentence in told["cart"])
    assert told["search"][0].endswith("since point 2 of 5")
    assert told["search"][-1] == "its only caller is degraded too: web"


def test_a_caller_that_has_drifted_is_no_victim():
    incident = replace(drifted(), call_graph={"web": ["cart"], "cart": ["search"], "search": []})
    told = sentences_of(incident, ("search",))["search"]
    assert not any("degraded" in sentence for sentence in told)


def test_without_knowing_what_paged_nothing_is_taken_for_drift():
    unknown = replace(drifted(), page=Page("web", None))
    assert featurize(unknown).x[1, SERVICE_FEATURES.index("latency_mid.up")] > 2.0


def test_the_shipped_ranker_blames_the_one_that_keeps_time_with_the_page():
    assert make_ranker("gnn").rank(drifted()).services[0] == "search"
