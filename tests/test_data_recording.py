"""What was recorded becomes an incident: one grid, a past apart from it, and a word on what is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.channels import default_channel_map
from data.errors import SettingsError
from data.incident import AlertEvent
from data.sources.onset import onset
from data.sources.recording import Recording, begun_since, incident_of
from data.sources.times import iso_time

START = 1_700_000_000.0


def shop(bad_from: int = 60, points: int = 80, step: float = 15.0) -> Recording:
    """web calls api calls db; db slows down, and with it api and web."""
    random = np.random.default_rng(0)
    recording = Recording()
    recording.call("web", "api")
    recording.call("api", "db")
    times = START + step * np.arange(points)
    for service, slow in (("web", 0.5), ("api", 0.5), ("db", 0.9)):
        usual = 0.1 + 0.01 * random.normal(size=points)
        recording.series(service, "latency_p99_s", times, np.where(np.arange(points) < bad_from, usual, slow))
        recording.series(service, "cpu_usage", times, random.normal(1, 0.1, size=points))
    return recording


@pytest.mark.parametrize("bad_from", [21, 40, 60, 76])
def test_the_beginning_is_found_and_told(bad_from):
    recording = shop(bad_from)
    incident = incident_of(recording)
    assert incident.start_s == START + 15 * bad_from
    assert any(iso_time(START + 15 * bad_from) in note for note in recording.notes)
    series = incident.telemetry["db"]["latency_p99_s"]
    assert series.incident.min() > 0.5 > series.baseline.max()
    assert (len(series.baseline), len(series.incident)) == (bad_from, 80 - bad_from)


@pytest.mark.parametrize(("bad_from", "since", "found"), [(60, 40, 60), (40, 60, 60), (80, 60, 60)])
def test_the_beginning_is_looked_for_inside_a_window_only(bad_from, since, found):
    recording = shop(bad_from)
    assert begun_since(recording, START + 15 * since, default_channel_map()) == START + 15 * found
    assert len(recording.notes) == (found != since)


def test_at_wins_over_what_a_source_says_and_over_what_is_found():
    recording = shop()
    recording.at = START + 300
    assert incident_of(recording).start_s == START + 300
    assert incident_of(recording, at=START + 150).start_s == START + 150
    with pytest.raises(SettingsError, match="--at"):
        incident_of(recording, at=START + 1e6)


def test_window_baseline_and_step_are_kept_to():
    incident = incident_of(shop(), at=START + 900, window_s=120, baseline_s=300, step_s=30)
    assert incident.step_s == 30
    series = incident.telemetry["web"]["cpu_usage"]
    assert (len(series.baseline), len(series.incident)) == (10, 5)


def test_nothing_that_changes_is_told_and_the_end_compared_with_the_past():
    recording = shop(bad_from=80)
    assert incident_of(recording).start_s == START + 15 * 60
    assert "do not change" in recording.notes[0]


def test_few_points_are_all_taken_for_the_incident():
    recording = Recording()
    recording.series("web", "error_rate", [START], [0.5])
    incident = incident_of(recording)
    assert incident.telemetry["web"]["error_rate"].incident.tolist() == [0.5]
    assert incident.telemetry["web"]["error_rate"].baseline.size == 0
    assert "too few" in recording.notes[0]


def test_a_coarser_series_holds_its_values_and_a_gap_stays_one():
    recording = shop()
    recording.series("db", "restarts", START + 60 * np.arange(20), np.arange(20))
    there = np.r_[0:50, 70:80]
    recording.series("db", "up", START + 15 * there, np.ones(len(there)))
    incident = incident_of(recording, at=START + 900)
    assert incident.telemetry["db"]["restarts"].incident[:5].tolist() == [15, 15, 15, 15, 16]
    assert np.isnan(incident.telemetry["db"]["up"].incident[:10]).all()


def test_what_only_an_alert_or_a_page_names_is_told_and_ranked():
    recording = shop()
    recording.alert(AlertEvent("redis", "metric", "RedisDown"), START + 900)
    recording.page("wbe")
    incident = incident_of(recording)
    assert {"redis", "wbe"} < set(incident.services)
    assert sum("'redis'" in note or "'wbe'" in note for note in recording.notes) == 2


def test_alerts_alone_make_an_incident_without_metrics():
    recording = Recording()
    recording.alert(AlertEvent("web", "metric", "HighErrorRate"))
    incident = incident_of(recording)
    assert incident.services == ("web",) and not incident.telemetry
    assert recording.notes == ["There are no metrics, only names, calls and alerts."]


def test_calls_owners_and_routine_arrive():
    recording = shop()
    event = AlertEvent("web", "metric", "Noisy")
    recording.series(("web", "cache"), "latency_gap_s", [START, START + 15], [0.1, 0.2])
    recording.owners["web"] = "frontend"
    recording.routines[event] = 0.9
    incident = incident_of(recording, at=START + 15)
    assert incident.call_graph["web"] == ("api", "cache")
    assert incident.call_telemetry["web", "cache"]["latency_gap_s"].incident[0] == 0.2
    assert incident.owners == {"web": "frontend"} and incident.routine == {event: 0.9}


@pytest.mark.parametrize("kind", ["white", "long tails", "few errors", "wandering"])
def test_noise_of_any_kind_is_no_beginning(kind):
    random = np.random.default_rng(1)
    found = 0
    for _ in range(20):
        x = 1 + random.normal(0, 0.1, (60, 100))
        if kind == "long tails":
            x = 1 + random.pareto(2.5, x.shape)
        elif kind == "few errors":
            x = random.poisson(0.3, x.shape) / 50
        elif kind == "wandering":
            for t in range(1, 100):
                x[:, t] += 0.7 * (x[:, t - 1] - 1)
        found += onset(x, np.full(60, 1e-3)) is not None
        x[:2, 90:] += 20 * x.std()
        beginning = onset(x, np.full(60, 1e-3))
        assert beginning is not None and abs(beginning - 90) <= 1
    assert found <= 1


floats = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["error_rate", "x"]), floats, floats)))
def test_whatever_is_recorded_makes_a_bounded_incident(points):
    recording = Recording()
    for service, metric, time_s, value in points:
        recording.series(service, metric, [time_s], [value])
    incident = incident_of(recording)
    for metrics in incident.telemetry.values():
        for series in metrics.values():
            assert len(series.incident) <= 700 and len(series.baseline) <= 700
            assert not np.isinf(series.incident).any()
