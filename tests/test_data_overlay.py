"""Faults added to healthy windows: the system's own data stays, and only fault effects are added."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from data.channels import Channel, Meaning, default_channel_map
from data.incident import Incident, Series
from data.simulator.batch.effects import Effect, signal_of
from data.simulator.batch.healthy import HealthyWindow, Kind, WindowSlice, healthy_windows
from data.simulator.batch.overlay import overlay
from data.simulator.config import SimulationConfig

GRAPH = {"shop": ["cart", "stock"], "cart": ["db"], "stock": ["db", "stock"], "db": [], "lone": []}
ALWAYS = SimulationConfig(healthy=0.0, paged=1.0)
METRICS = {  # {name: usual value}; nobody knows what the last is
    "PodServerLatencyP99(s)": 0.2,
    "latency_Average": 0.1,
    "availability_Average": 100.0,
    "requests_Sum": 300.0,
    "CpuUsageRate(%)": 20.0,
    "MemoryUsage(Mi)": 512.0,
    "log_count": 40.0,
    "log_err_count": 1.0,
    "flux_compensation": 7.0,
}


def window(seed: int = 0, points: int = 30, graph: Mapping[str, list[str]] = GRAPH) -> Incident:
    """A healthy system with noise and gaps, in which something breaks after its baseline."""
    rng = np.random.default_rng(seed)

    def series(usual: float) -> Series:
        values = usual * np.exp(rng.normal(0.0, 0.02, points))
        values = np.minimum(values, 100.0) if usual == 100.0 else values
        return Series(np.full(4, 1e9), np.where(rng.random(points) < 0.1, np.nan, values))

    telemetry = {name: {m: series(usual) for m, usual in METRICS.items()} for name in graph if name != "db"}
    return Incident("w", tuple(graph), graph, telemetry, system="shop", root_causes=(next(iter(graph)),))


@pytest.fixture(scope="module")
def windows() -> tuple[HealthyWindow, ...]:
    return healthy_windows([window(0), window(1)])


def bytes_of(incident: Incident) -> list[object]:
    return [
        (metric, series.baseline.tobytes(), series.incident.tobytes())
        for metrics in incident.telemetry.values()
        for metric, series in metrics.items()
    ]


def answers(incident: Incident) -> tuple[object, ...]:
    return incident.root_causes, incident.fault, incident.page


def test_same_seed_same_incidents(windows: tuple[HealthyWindow, ...]) -> None:
    def drawn(seed: int) -> list[object]:
        return [(answers(i), bytes_of(i)) for i in overlay(windows, 30, seed)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_the_system_is_itself(windows: tuple[HealthyWindow, ...]) -> None:
    drawn = list(overlay(windows, 80, 1))
    assert len({incident.incident_id for incident in drawn}) == 80
    roots = {root for incident in drawn for root in incident.root_causes}
    assert roots == {"shop", "cart", "stock", "db", "lone"}
    assert 0 < sum(incident.page is not None for incident in drawn) < 80
    for incident in drawn:
        assert (
            incident.system == "shop" and incident.services == tuple(GRAPH) and incident.call_graph == GRAPH
        )
        assert bool(incident.root_causes) == bool(incident.fault)
        assert {metric for metrics in incident.telemetry.values() for metric in metrics} == set(METRICS)
        for metrics in incident.telemetry.values():
            for series in metrics.values():
                assert len(series.baseline) > 0 and 1 <= len(series.incident) <= 10
                assert not (series.baseline == 1e9).any() and not (series.incident >= 1e9).any()


def test_without_strength_nothing_changes_and_what_is_missing_stays_missing(
    windows: tuple[HealthyWindow, ...],
) -> None:
    moved = set()
    calm = overlay(windows, 40, 3, config=ALWAYS, strength=0.0)
    for still, struck in zip(calm, overlay(windows, 40, 3, config=ALWAYS), strict=True):
        assert still.root_causes == struck.root_causes
        for number, name in enumerate(still.services):
            for metric, series in still.telemetry[name].items():
                measured = np.concatenate([window.telemetry[number][metric] for window in windows])
                present = series.incident[np.isfinite(series.incident)]
                distance = np.abs(present[:, None] - measured[np.isfinite(measured)]).min(axis=1)
                assert (distance < 1e-9 * METRICS[metric]).all()
                changed = struck.telemetry[name][metric]
                np.testing.assert_array_equal(changed.baseline, series.baseline)
                assert np.isnan(changed.incident[np.isnan(series.incident)]).all()
                if not np.array_equal(changed.incident, series.incident, equal_nan=True):
                    assert metric not in ("flux_compensation", "log_count")
                    moved.add(struck.incident_id)
    assert len(moved) > 30


def test_only_what_the_fault_moves_is_moved(windows: tuple[HealthyWindow, ...]) -> None:
    """`lone` has no callers or callees: its fault affects no other service, and no other fault affects it."""
    quiet = replace(ALWAYS, second_root=0.0)
    calm = overlay(windows, 60, 5, config=quiet, strength=0.0)
    for still, struck in zip(calm, overlay(windows, 60, 5, config=quiet), strict=True):
        (root,) = struck.root_causes
        for name, metrics in struck.telemetry.items():
            same = all(
                np.allclose(series.incident, still.telemetry[name][metric].incident, equal_nan=True)
                for metric, series in metrics.items()
            )
            if (name == "lone") != (root == "lone"):
                assert same, (name, root)


def test_names_of_services_change_nothing_but_names(windows: tuple[HealthyWindow, ...]) -> None:
    new = {name: f"ünrelated-{number}-db" for number, name in enumerate(GRAPH)}

    def renamed(incident: Incident) -> Incident:
        return replace(
            incident,
            services=tuple(new[name] for name in incident.services),
            call_graph={new[a]: [new[b] for b in calls] for a, calls in incident.call_graph.items()},
            telemetry={new[name]: metrics for name, metrics in incident.telemetry.items()},
        )

    others = healthy_windows([renamed(window(0)), renamed(window(1))])
    for one, other in zip(overlay(windows, 30, 2), overlay(others, 30, 2), strict=True):
        assert other.root_causes == tuple(new[root] for root in one.root_causes)
        assert (one.fault, bytes_of(one)) == (other.fault, bytes_of(other))
        assert (one.page and new[one.page.service]) == (other.page and other.page.service)


def test_a_window_without_a_root_is_healthy_throughout() -> None:
    (broken,), (whole,) = healthy_windows([window()]), healthy_windows([replace(window(), root_causes=())])
    assert (broken.longest, whole.longest) == (30, 34)


def test_what_has_no_healthy_series_is_left_out() -> None:
    bare = {"shop": {"latency_p99": Series(np.ones(5)), "flux_compensation": Series(np.ones(5), np.ones(9))}}
    assert healthy_windows([replace(window(), telemetry=bare), replace(window(), telemetry={})]) == ()


@pytest.mark.parametrize("graph", [{"one": ["one"]}, {"a": ["b"], "b": ["a"]}, {"a": [], "b": []}], ids=str)
def test_degenerate_graphs(graph: dict[str, list[str]]) -> None:
    drawn = list(overlay(healthy_windows([window(points=2, graph=graph)]), 20, 1, config=ALWAYS))
    assert all(len(incident.root_causes) == 1 for incident in drawn)


def test_calls_are_struck_with_their_callee() -> None:
    calm = {"latency_p99": Series(np.empty(0), np.full(30, 0.2))}
    measured = replace(window(), call_telemetry={("shop", "lone"): calm, ("shop", "cart"): calm})
    drawn = list(overlay(healthy_windows([measured]), 40, 1, config=replace(ALWAYS, second_root=0.0)))
    for incident in drawn:
        lone = incident.call_telemetry["shop", "lone"]["latency_p99"].incident
        if incident.root_causes != ("lone",):
            np.testing.assert_allclose(lone, 0.2)
    slower = [(i.call_telemetry["shop", "cart"]["latency_p99"].incident > 0.3).any() for i in drawn]
    assert any(slower)


@pytest.mark.parametrize("points", range(2, 40))
def test_a_cut_leaves_something_on_both_sides(points: int) -> None:
    rng = np.random.default_rng(points)
    for _ in range(50):
        cut = WindowSlice.draw(rng, points)
        for length in (points, 2, 3, 7):
            start, split, end = cut.of(length)
            assert 0 <= start < split < end <= length


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("latency_Average", "latency_mean"),
        ("latency_p50", "latency_p50"),
        ("latency_p90", "latency_p90"),
        ("PodServerLatencyP95(s)", "latency_p95"),
        ("TargetResponseTime_p99", "latency_p99"),
        ("availability_Average", "error"),
    ],
)
def test_a_metric_reads_the_signal_of_its_percentile(name: str, signal: str) -> None:
    meaning = default_channel_map()(name)
    assert meaning and signal_of(name, meaning) == signal


@pytest.mark.parametrize(
    ("meaning", "is_share", "usual", "expected"),
    [
        (Meaning(Channel.ERROR, inverted=True, scale=0.01), True, 98.0, 58.0),  # 40 % more fail
        (Meaning(Channel.ERROR, inverted=False, scale=1.0), True, 0.9, 1.0),  # no more than all
        (Meaning(Channel.CPU, inverted=False, scale=0.01), True, 20.0, 60.0),
        (Meaning(Channel.CPU, inverted=False, scale=1.0), False, 50.0, 250.0),  # millicores: from .1 to .5
        (Meaning(Channel.LATENCY_TAIL, inverted=False, scale=1e-6), False, 8.0, 40.0),
        (Meaning(Channel.MEMORY, inverted=True, scale=1.0), False, 900.0, 500.0),  # bytes that are free
        (Meaning(Channel.LOG_SHIFT, inverted=False, scale=1.0), True, 0.3, 0.7),
        (Meaning(Channel.DEPLOY_AGE, inverted=False, scale=1.0), False, 9e4, 0.5),
    ],
)
def test_a_signal_that_rises_from_a_tenth_to_a_half(
    meaning: Meaning, is_share: bool, usual: float, expected: float
) -> None:
    effect = Effect(meaning, Kind(is_share, 1.0), np.array([0.1]), np.full((2, 1), 0.5), loudness=0.0)
    np.testing.assert_allclose(effect(0, np.array([usual, np.nan, usual])), [expected, np.nan, expected])
