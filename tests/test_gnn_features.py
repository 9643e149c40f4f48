"""Laws of the features: names and order don't matter, missing stays missing, every graph works."""

import numpy as np
import pytest

from data.channels import default_channel_map
from data.incident import AlertEvent, Incident, Page, Series
from data.simulator.batch.generate import SimulationConfig, simulate
from gnn.features.featurize import MODES, SERVICE_FEATURES, Graph, featurize
from gnn.features.replicas import workload_of
from gnn.features.stack import stack
from gnn.features.topology import calls_of
from gnn.registry import make_ranker

COLUMN = {name: index for index, name in enumerate(SERVICE_FEATURES)}


def steady(level: float, jump: float = 0.0) -> Series:
    """A baseline around `level`, and an incident `jump` above it."""
    wiggle = 0.01 * level * np.array([-1, 0, 1, 0, -1, 1, 0, 1, -1, 0])
    return Series(np.full(3, level + jump), level + wiggle)


def chain(**jumps: float) -> Incident:
    """front → mid → store with a latency each; `jumps` gives the rise of each."""
    names = ("front", "mid", "store")
    telemetry = {name: {"latency_p99_s": steady(0.1, jumps.get(name, 0.0))} for name in names}
    return Incident("chain", names, {"front": ["mid"], "mid": ["store"], "store": []}, telemetry)


def incidents() -> list[Incident]:
    """Some incidents of every kind of evidence."""
    worlds = list(simulate(400, seed=3, config=SimulationConfig(most_services=12)))
    return [incident for incident in worlds[::4] if incident.services]


def test_the_simulation_shows_every_mode() -> None:
    seen = {featurize(i).mode for i in simulate(400, seed=3, config=SimulationConfig(most_services=6))}
    assert seen == set(range(len(MODES)))


def test_reordering_the_services_reorders_the_rows() -> None:
    rng = np.random.default_rng(0)
    for incident in incidents():
        order = rng.permutation(len(incident.services))
        names = tuple(incident.services[i] for i in order)
        shuffled = Incident(**{**vars(incident), "services": names})
        assert np.allclose(featurize(shuffled).x, featurize(incident).x[order], atol=1e-4)


def test_renaming_the_services_changes_nothing_as_long_as_replicas_look_like_replicas() -> None:
    for incident in incidents():
        workloads = {workload_of(name): None for name in incident.services}
        word = {old: "z" + "".join(chr(97 + int(d)) for d in str(n)) for n, old in enumerate(workloads)}
        new = {
            name: word[workload_of(name)] + name.removeprefix(workload_of(name)) for name in incident.services
        }
        new[None] = None  # type: ignore[index]
        renamed = Incident(
            incident.incident_id,
            tuple(new[name] for name in incident.services),
            {new[a]: [new[b] for b in callees] for a, callees in incident.call_graph.items()},
            {new[name]: metrics for name, metrics in incident.telemetry.items()},
            {(new[a], new[b]): metrics for (a, b), metrics in incident.call_telemetry.items()},
            tuple(
                AlertEvent(new[a.service], a.kind, a.name, a.direction, new[a.caller])
                for a in incident.alerts
            ),
            Page(new[incident.page.service], incident.page.metric) if incident.page else None,
            owners={new[name]: owner[::-1] for name, owner in incident.owners.items()},
            routine={
                AlertEvent(new[a.service], a.kind, a.name, a.direction, new[a.caller]): share
                for a, share in incident.routine.items()
            },
        )
        before, after = featurize(incident), featurize(renamed)
        assert np.array_equal(before.x, after.x)
        assert np.array_equal(before.edge_index, after.edge_index)


def test_how_far_an_incident_is_beyond_its_past_is_not_for_odd_points_to_decide() -> None:
    past = 5 * [0.09, 0.1, 0.11, 0.1]
    points = {
        "once": ([0.1, 0.9, 0.1, 0.1], past),
        "twice": ([0.1, 0.9, 0.9, 0.1], past),
        "spiky past": ([0.9, 0.9, 0.9, 0.9], [0.9, 0.9, *past[2:]]),
        "two points": ([0.1, 0.9], past),
    }
    for name, (now, before) in points.items():
        series = Series(np.array(now), np.array(before))
        (row,) = featurize(Incident(name, ("a",), {"a": []}, {"a": {"latency_p99_s": series}})).x
        beyond = row[COLUMN["latency_tail.beyond"]]
        assert beyond == 0.0 if name == "once" else beyond > 1.0, name


def test_labels_are_not_read() -> None:
    for incident in incidents():
        blind = incident.labelled(())
        assert np.array_equal(featurize(blind).x, featurize(incident).x)


@pytest.mark.parametrize(
    "incident",
    [
        Incident("empty", (), {}),
        Incident("alone", ("a",), {"a": []}, {"a": {"cpu": Series(np.array([0.5]))}}),
        Incident("silent", ("a", "b"), {"a": ["b"]}),
        Incident("cycle", ("a", "b"), {"a": ["b"], "b": ["a"]}, {"a": {"cpu": steady(0.2, 0.3)}}),
        Incident("self-call", ("a",), {"a": ["a"]}, {"a": {"cpu": steady(0.2)}}),
        Incident(
            "all missing", ("a",), {"a": []}, {"a": {"cpu": Series(np.full(3, np.nan), np.full(5, np.nan))}}
        ),
        Incident("no points", ("a",), {"a": []}, {"a": {"cpu": Series(np.empty(0), np.ones(5))}}),
        Incident(
            "stranger pages", ("a",), {"a": []}, {"a": {"cpu": steady(0.2)}}, page=Page("nobody", "latency")
        ),
        Incident("stranger alerts", ("a",), {"a": []}, alerts=(AlertEvent("nobody", "metric", "cpu", "up"),)),
        Incident("huge", ("a", "b"), {}, {"a": {"cpu": steady(1e12, 1e15)}, "b": {"cpu": steady(1e-12)}}),
    ],
    ids=lambda incident: incident.incident_id,
)
def test_degenerate_incidents_have_finite_features(incident: Incident) -> None:
    graph: Graph = featurize(incident)
    assert graph.x.shape == (len(incident.services), len(SERVICE_FEATURES))
    assert np.isfinite(graph.x).all()


def test_a_deviation_from_the_own_baseline_shows_where_it_is() -> None:
    x = featurize(chain(store=0.4)).x
    assert x[:, COLUMN["latency_tail.up"]].argmax() == 2
    assert x[2, COLUMN["latency_tail.ratio"]] == pytest.approx(np.log(5), abs=0.1)
    assert x[0, COLUMN["latency_tail.up"]] < 1.0


def test_data_that_vanish_are_told_from_data_that_never_were() -> None:
    gone = Series(np.full(3, np.nan), np.full(10, 0.1))
    incident = Incident("gone", ("a", "b"), {}, {"a": {"latency_p99_s": gone}})
    x = featurize(incident).x
    assert x[0, COLUMN["latency_tail.gone"]] == 1.0
    assert x[1, COLUMN["latency_tail.gone"]] == 0.0
    assert x[1, COLUMN["silent"]] == 1.0


def test_the_page_gives_weight_to_what_happened_at_the_same_time() -> None:
    calm = 0.1 + 0.001 * np.array([-1, 0, 1, 0, -1, 1, 0, 1, -1, 0])
    series = {
        "front": Series(np.array([0.1, 0.1, 0.5, 0.1]), calm),
        "with": Series(np.array([0.1, 0.1, 0.5, 0.1]), calm),
        "always": Series(np.array([0.5, 0.5, 0.5, 0.5]), calm),
    }
    telemetry = {name: {"latency_avg": one} for name, one in series.items()}
    incident = Incident(
        "p", tuple(series), {"front": ["with", "always"]}, telemetry, page=Page("front", "latency")
    )
    contrast = featurize(incident).x[:, COLUMN["contrast"]]
    assert contrast[1] > 2.0
    assert abs(contrast[2]) < 0.5


def test_incidents_of_any_length_start_together_and_pasts_end_together() -> None:
    telemetry = {
        "long": {"cpu": Series(np.array([0.1, 0.2, 0.3]), np.array([0.4]))},
        "short": {"cpu": Series(np.array([0.5])), "unheard_of_metric": Series(np.ones(9))},
        "none": {"cpu": Series(np.empty(0), np.array([0.6, 0.7]))},
    }
    block = stack(
        Incident("lengths", ("short", "absent", "none", "long"), {}, telemetry), default_channel_map()
    )
    now, past = block.incident[0], block.baseline[0]
    assert len(block.channel) == 1
    assert np.array_equal(now[0, :1], [0.5]) and np.isnan(now[0, 1:]).all()
    assert np.array_equal(now[3, :3], [0.1, 0.2, 0.3])
    assert np.isnan(now[1:3]).all()
    assert np.array_equal(past[2, -2:], [0.6, 0.7]) and np.array_equal(past[3, -1:], [0.4])
    assert np.isnan(past[:2]).all() and np.isnan(past[3, :-1]).all()


@pytest.mark.parametrize(
    ("name", "share", "percent", "channel"),
    [
        ("availability", [0.999, 0.2, 0.0], [99.9, 20.0, 0.0], "error"),
        ("success_rate", [1.0, 1.0, 0.5], [100.0, 100.0, 50.0], "error"),
        ("cpu_utilization", [0.2, 0.9, 0.01], [20.0, 90.0, 1.0], "cpu"),
        ("mem_used_pct", [0.2, 0.9, 0.01], [20.0, 90.0, 1.0], "memory"),
    ],
)
def test_a_share_reads_the_same_in_percent(
    name: str, share: list[float], percent: list[float], channel: str
) -> None:
    shares, percents = (
        Incident(
            "unit",
            ("a", "b", "idle"),
            {},
            {"a": {name: Series(np.array(values))}, "idle": {name: Series(np.zeros(3), np.zeros(2))}},
        )
        for values in (share, percent)
    )
    blocks = [stack(incident, default_channel_map()) for incident in (shares, percents)]
    np.testing.assert_allclose(blocks[0].incident, blocks[1].incident, atol=1e-12)
    np.testing.assert_allclose(featurize(shares).x, featurize(percents).x, atol=1e-6)
    assert featurize(shares).x[0, SERVICE_FEATURES.index(f"{channel}.level")] > 0.0


def test_calls_are_each_told_once_in_order_and_only_among_the_services() -> None:
    graph = {"c": ["a", "b", "a", "c"], "a": ["b", "stranger"], "stranger": ["a"], "b": []}
    incident = Incident("calls", ("a", "b", "c"), graph)
    index = {name: row for row, name in enumerate(incident.services)}
    assert calls_of(incident, index).edge_index.T.tolist() == [[0, 1], [2, 0], [2, 1]]
    for nobody in (Incident("calm", ("a",), {"a": []}), Incident("lone", ("a",), {"a": ["a", "b"]})):
        assert calls_of(nobody, {"a": 0}).edge_index.shape == (2, 0)


def test_twenty_thousand_services_are_no_special_case() -> None:
    services = 20_000
    rng = np.random.default_rng(0)
    names = tuple(f"s{row}" for row in range(services))
    latency = np.concatenate([[9.0], 0.1 + 0.01 * rng.random(services - 1)])
    telemetry = {
        name: {"latency_p99_s": Series(points)}
        for name, points in zip(names, latency.reshape(-1, 1), strict=True)
    }
    callees = rng.integers(0, services, (services, 3)).tolist()
    graph = {name: [names[row] for row in rows] for name, rows in zip(names, callees, strict=True)}
    huge = Incident("huge", names, graph, telemetry)
    ranking = make_ranker("gnn").rank(huge)
    assert set(ranking.services) == set(names) and np.isfinite([c.score for c in ranking.candidates]).all()
    told = featurize(huge)
    distinct = {(row, callee) for row, rows in enumerate(callees) for callee in rows if callee != row}
    assert told.x.shape == (services, len(SERVICE_FEATURES))
    assert np.isfinite(told.x).all()
    assert told.x[:, COLUMN["latency_tail.peer"]].argmax() == 0
    assert set(zip(*told.edge_index.tolist(), strict=True)) == distinct
    assert told.edge_index.shape == (2, len(distinct))


def test_timing_tells_what_moves_with_the_page_from_what_was_moved_before() -> None:
    calm = np.full(12, 0.1)
    moved = {"page": [0.1, 0.1, 0.9, 0.9], "culprit": [0.1, 0.1, 0.9, 0.9], "old": [0.9, 0.9, 0.9, 0.9]}
    telemetry = {name: {"latency_p50": Series(np.array(points), calm)} for name, points in moved.items()}
    graph = featurize(
        Incident(
            "timing", tuple(moved), {"page": ["culprit", "old"]}, telemetry, page=Page("page", "latency")
        )
    )
    timing = graph.x[:, SERVICE_FEATURES.index("latency_mid.timing")]
    assert timing[1] > 0.5 and timing[2] == pytest.approx(0.0, abs=1e-6)


def test_what_an_address_shows_counts_for_the_service_behind_it() -> None:
    calm, slow = np.full(12, 0.1), np.array([0.1, 0.5, 0.9])
    telemetry = {
        "web": {"latency_p50": Series(slow, calm)},
        "shop": {"latency_p50": Series(slow / 2, calm)},
        "shop.example": {"latency_p50": Series(slow, calm)},
        "store": {"latency_p50": Series(np.full(3, 0.1), calm)},
    }
    graph = {"web": ["shop", "shop.example"], "shop": ["store"]}
    x = featurize(Incident("address", tuple(telemetry), graph, telemetry)).x
    up, echo, echoed = (x[:, SERVICE_FEATURES.index(name)] for name in ("latency_mid.up", "echo", "echoed"))
    assert up[1] == up[0] and up[2] == 0.0
    assert echo.argmax() == 2 and echoed.argmax() == 1
    telemetry["shop.example"]["cpu"] = Series(np.ones(3), np.ones(12))  # known inside: no mere address
    x = featurize(Incident("address", tuple(telemetry), graph, telemetry)).x
    assert x[2, SERVICE_FEATURES.index("latency_mid.up")] > 0.0


@pytest.mark.parametrize("counts", ["shop", "shop.example"])
def test_what_either_an_address_or_its_service_shows_is_kept(counts: str) -> None:
    calm, slow = np.full(12, 0.1), np.array([0.1, 0.5, 0.9])
    telemetry = {name: {"latency_p50": Series(slow, calm)} for name in ("web", "shop", "shop.example")}
    telemetry["store"] = {"latency_p50": Series(calm[:3], calm)}
    telemetry["shop"]["latency_p50"] = Series(slow / 2, calm)
    telemetry[counts]["requests"] = Series(0.1 * slow, 50 * calm)
    graph = {"web": ["shop", "shop.example"], "shop": ["store"]}
    x = featurize(Incident("address", tuple(telemetry), graph, telemetry)).x
    traffic, latency = (x[:, SERVICE_FEATURES.index(name)] for name in ("traffic.mean", "latency_mid.up"))
    assert latency[1] == latency[0] and not latency[2]
    assert traffic[1] < -1.0 and not traffic[2]


def test_who_was_silent_for_as_long_before_is_not_missed() -> None:
    gaps = np.array([1.0, 1.0, np.nan, np.nan, np.nan, 1.0, 1.0, 1.0])
    gone = np.full(3, np.nan)
    telemetry = {
        "sleeper": {"latency_p50": Series(gone, gaps)},
        "lost": {"latency_p50": Series(gone, np.ones(8))},
    }
    x = featurize(Incident("gone", tuple(telemetry), {}, telemetry)).x
    assert x[:, SERVICE_FEATURES.index("latency_mid.gone")].tolist() == [0.0, 1.0]


def test_error_lines_are_a_share_of_all_lines() -> None:
    busy = {
        "log_err_count": Series(np.full(4, 10.0), np.ones(4)),
        "log_count": Series(np.full(4, 100.0), np.full(4, 10.0)),
    }
    failing = {
        "log_err_count": Series(np.full(4, 5.0), np.ones(4)),
        "log_count": Series(np.full(4, 10.0), np.full(4, 10.0)),
    }
    x = featurize(Incident("lines", ("busy", "failing"), {}, {"busy": busy, "failing": failing})).x
    up = x[:, SERVICE_FEATURES.index("logs.up")]
    assert up[1] > up[0] + 1.0


def test_without_a_past_who_is_fuller_than_all_others_stands_out_in_steps_not_in_ratios() -> None:
    full = {"front": 0.3, "mid": 0.35, "store": 0.5}
    telemetry = {name: {"memory_utilization": Series(np.array([level]))} for name, level in full.items()}
    row = dict(zip(full, featurize(Incident("full", tuple(full), {}, telemetry)).x, strict=True))
    beyond, peer = COLUMN["memory.beyond"], COLUMN["memory.peer"]
    assert row["store"][beyond] == pytest.approx(np.arcsinh(20 * 0.15), abs=1e-4)
    assert row["mid"][beyond] == pytest.approx(-row["store"][beyond], abs=1e-4)
    assert row["store"][peer] > 1.0 > row["mid"][peer] == 0.0
    alone = featurize(Incident("alone", ("store",), {}, {"store": telemetry["store"]}))
    assert alone.x[0, beyond] == 0.0


def test_free_bytes_of_one_service_say_nothing_about_anothers() -> None:
    """Free bytes are no share of anything, so in a lone snapshot they cannot be compared."""
    names = ("a", "b", "c")
    free = {
        name: {"memory_available_bytes": Series(np.array([size]))}
        for name, size in zip(names, (5e8, 8e9, 9e9), strict=True)
    }
    told = featurize(Incident("free", names, {"a": ["b"]}, free)).x
    assert not told[:, COLUMN["memory.peer"]].any() and not told[:, COLUMN["memory.beyond"]].any()


def test_a_success_rate_of_zero_everywhere_at_all_times_is_no_success_rate() -> None:
    def world(before: float) -> Incident:
        rates = {name: Series(np.zeros(4), np.full(10, before)) for name in ("front", "store")}
        telemetry = {name: {"PodSuccessRate(%)": rate} for name, rate in rates.items()}
        return Incident("rates", ("front", "store"), {"front": ["store"]}, telemetry)

    assert not featurize(world(0.0)).x[:, COLUMN["error.has"]].any()
    assert featurize(world(100.0)).x[:, COLUMN["error.up"]].min() > 3.0  # everything fails since the incident


def test_a_rise_over_two_points_proves_less_than_the_same_rise_over_many() -> None:
    def rise(points: int) -> float:
        past = np.tile([0.9, 1.1], points // 2)
        series = {"latency_p99_s": Series(np.full(3, 4.0), past)}
        return float(
            featurize(Incident("few", ("shop",), {}, {"shop": series})).x[0, COLUMN["latency_tail.up"]]
        )

    assert rise(2) + 1.0 < rise(6) < rise(10) == rise(20)
