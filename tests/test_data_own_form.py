"""Incident files: what they mean, and how they are refused."""

import json

import numpy as np
import pytest

from data.errors import SchemaError
from data.incident import AlertEvent, Incident, Page
from data.observation import Observation, parse
from data.sources.files.reading import read_incidents
from data.sources.own_form import parse_incident

LINE = {
    "incident_id": "shop/1",
    "system": "shop",
    "fault": "delay",
    "call_graph": {"web": ["api"], "api": ["db"]},
    "alerting": {"node": "web", "metric": "latency"},
    "telemetry": {
        "api": {"latency_p50": {"baseline": [1, None], "incident": [2.5, None, 3]}},
        "sidecar": {"cpu": {"incident": []}},
    },
    "calls": [
        {"caller": "web", "callee": "api", "metrics": {"errors": {"baseline": [0], "incident": [4]}}},
    ],
    "alerts": [
        {"kind": "trace", "service": "db", "name": "GET", "direction": "PD", "caller": "api"},
        {"kind": "metric", "service": "host-1", "name": "node_cpu"},
    ],
    "root_causes": ["db"],
}


def test_every_part_of_a_line_arrives():
    incident = parse_incident(LINE, "test")
    assert incident.services == ("web", "api", "db", "sidecar")  # not host-1: an alert makes no suspect
    assert incident.page == Page("web", "latency")
    assert incident.alerts[0] == AlertEvent("db", "trace", "GET", "PD", "api")
    assert incident.root_causes == ("db",) and incident.fault == "delay" and incident.system == "shop"
    series = incident.telemetry["api"]["latency_p50"]
    np.testing.assert_array_equal(series.baseline, [1, np.nan])
    np.testing.assert_array_equal(series.incident, [2.5, np.nan, 3])
    assert incident.telemetry["sidecar"]["cpu"].incident.size == 0
    np.testing.assert_array_equal(incident.call_telemetry["web", "api"]["errors"].incident, [4])
    assert incident.observations == ()


def test_what_a_window_no_longer_reports_keeps_its_past():
    def observed(**services):
        raw = {"services": services, "dependency_graph": {"web": ["db", "cache"]}}
        return parse(Observation, raw, "test")

    silent = {"status": "unknown"}
    window = [observed(web={}, db={"rate": 1.0}, cache={"rate": 3.0}), observed(web={"rate": 2.0}, db=silent)]
    incident = Incident.from_observations(window)
    assert incident.services == ("web", "db", "cache")
    points = {
        name: {m: series.incident for m, series in of.items()} for name, of in incident.telemetry.items()
    }
    np.testing.assert_equal(
        points,
        {
            "web": {"rate": np.array([np.nan, 2.0])},
            "db": {"rate": np.array([1.0, np.nan])},
            "cache": {"rate": np.array([3.0, np.nan])},
        },
    )


def test_little_is_enough():
    incident = parse_incident({"incident_id": 7, "call_graph": {}}, "test")
    assert incident.incident_id == "7" and incident.services == () and incident.page is None


def test_telemetry_alone_is_an_incident_named_after_its_file(tmp_path):
    told = {"telemetry": LINE["telemetry"], "alerts": [{"service": "api", "name": "cpu"}]}
    (tmp_path / "monday.json").write_text(json.dumps(told))
    [incident] = read_incidents(tmp_path / "monday.json")
    assert incident.incident_id == "monday.json:1" and incident.services == ("api", "sidecar")
    assert incident.alerts == (AlertEvent("api", "metric", "cpu"),)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"call_graph": {"web": "api"}}, "call_graph.web"),
        ({"telemetry": {"api": {"cpu": {"incident": [1, "high"]}}}}, "telemetry.api.cpu.incident.1"),
        ({"telemetry": {"api": {"cpu": {"incident": [float("inf")]}}}}, "telemetry.api.cpu.incident.0"),
        ({"telemetry": {"api": {"cpu": {"baseline": []}}}}, "telemetry.api.cpu.incident"),
        ({"alerts": [{"kind": "log", "name": "x"}]}, "alerts.0.service"),
        ({"alerts": [{"kind": "span", "service": "db", "name": "x"}]}, "alerts.0.kind"),
        ({"alerts": [{"kind": "metric", "service": "db", "name": "x", "direction": "PD"}]}, "alerts.0"),
        ({"root_causes": "db"}, "root_causes"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_field(tmp_path, change, field):
    path = tmp_path / "incidents.jsonl"
    path.write_text(json.dumps(LINE) + "\n" + json.dumps(LINE | change) + "\n")
    with pytest.raises(SchemaError) as refusal:
        read_incidents(path)
    assert refusal.value.where == f"{path}:2"
    assert refusal.value.field == field


def test_alerts_are_read_in_any_spelling_and_calls_in_any_number_of_entries():
    alerts = [
        {"kind": "Metric", "service": "db", "name": "cpu", "direction": "UP"},
        {"kind": "TRACE", "service": "db", "name": "GET", "direction": "PD", "caller": "api"},
    ]
    calls = [
        {"caller": "web", "callee": "api", "metrics": {name: {"incident": [1]}}}
        for name in ("errors", "latency")
    ]
    incident = parse_incident(LINE | {"alerts": alerts, "calls": calls}, "test")
    assert [(alert.kind, alert.direction) for alert in incident.alerts] == [("metric", "up"), ("trace", "PD")]
    assert set(incident.call_telemetry["web", "api"]) == {"errors", "latency"}


def test_a_folder_gives_the_incidents_of_all_its_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(LINE | {"incident_id": name}) + "\n")
    assert [incident.incident_id for incident in read_incidents(tmp_path)] == ["a", "b"]


def test_the_published_incidents_are_read_whole(shared):
    incidents = read_incidents(shared / "incidents")
    counts = {}
    for incident in incidents:
        counts[incident.system] = counts.get(incident.system, 0) + 1
        assert set(incident.root_causes) <= set(incident.services)
        assert set(incident.services) == set(incident.call_graph)
    assert counts == {
        "gaia": 160,
        "hotel": 122,
        "online-boutique": 24,
        "petshop": 16,
        "sockshop": 248,
        "train-ticket": 28,
    }
