"""Laws of pieces of evidence: each can be removed alone, and together they are all the evidence."""

import numpy as np
import pytest

from data.channels import Channel, default_channel_map
from data.incident import AlertEvent, Incident, Page, Series
from data.simulator.batch.generate import SimulationConfig, simulate
from gnn.explain.evidence_items import EvidenceItem, evidence_items_of, without_items
from gnn.features.featurize import featurize

MAP = default_channel_map()
POINT = Series(np.array([2.0]), np.ones(5))
WORLDS = list(simulate(40, seed=21, config=SimulationConfig(most_services=10)))


def shop() -> Incident:
    """web → api → db with evidence of every kind."""
    return Incident(
        "shop",
        ("web", "api", "db"),
        {"web": ["api", "web"], "api": ["db", "elsewhere"]},
        {
            "web": {"latency_p99": POINT, "latency_p95": POINT, "unheard_of_thing": POINT},
            "db": {"cpu": POINT},
        },
        {("api", "db"): {"latency_p99": POINT}},
        (
            AlertEvent("db", "trace", "GET /", "PD", "api"),
            AlertEvent("db", "trace", "GET /", "500", "db"),
            AlertEvent("db", "metric", "unheard_of_thing", "up"),
            AlertEvent("db", "metric", "cpu", "up"),
            AlertEvent("api", "log", "pattern 7"),
            AlertEvent("host", "metric", "cpu", "up"),
        ),
        Page("web", "latency"),
    )


def test_each_piece_is_named_once_and_in_words() -> None:
    assert [str(piece) for piece in evidence_items_of(shop(), MAP)] == [
        "highest latency of web",
        "cpu of db",
        "calls from api to db",
        "errors of db",
        "other alerts of db",
        "logs of api",
        "calls from web to api",
        "the page of web",
    ]


def test_a_piece_goes_with_everything_that_tells_it_and_nothing_else() -> None:
    cut = without_items(shop(), [EvidenceItem("channel", "web", Channel.LATENCY_TAIL)], MAP)
    assert set(cut.telemetry["web"]) == {"unheard_of_thing"} and cut.alerts == shop().alerts
    cut = without_items(shop(), [EvidenceItem("channel", "db", Channel.CPU)], MAP)
    assert cut.telemetry["db"] == {} and len(cut.alerts) == len(shop().alerts) - 1
    cut = without_items(shop(), [EvidenceItem("call", "db", "api")], MAP)
    assert cut.call_graph == {"web": ["api", "web"], "api": ["elsewhere"]} and cut.call_telemetry == {}
    assert [alert.caller for alert in cut.alerts if alert.kind == "trace"] == ["db"]
    cut = without_items(shop(), [EvidenceItem("page", "web")], MAP)
    assert cut.page is None and evidence_items_of(cut, MAP) == evidence_items_of(shop(), MAP)[:-1]


@pytest.mark.parametrize("incident", WORLDS[::4], ids=lambda incident: incident.system)
def test_without_all_pieces_the_services_are_alike_and_none_is_lost(incident: Incident) -> None:
    pieces = evidence_items_of(incident, MAP)
    assert len(set(pieces)) == len(pieces)
    bare = without_items(incident, pieces, MAP)
    assert bare.services == incident.services and bare.incident_id == incident.incident_id
    assert evidence_items_of(bare, MAP) == ()
    graph = featurize(bare, MAP)
    assert np.ptp(graph.x, axis=0).max(initial=0.0) == 0.0 and graph.edge_index.shape[1] == 0


def test_pieces_go_one_by_one_as_they_go_together() -> None:
    for incident in WORLDS[:12]:
        pieces = evidence_items_of(incident, MAP)
        half = pieces[::2]
        stepwise = incident
        for piece in half:
            stepwise = without_items(stepwise, [piece], MAP)
        at_once = without_items(incident, half, MAP)
        assert evidence_items_of(at_once, MAP) == pieces[1::2]
        assert all(np.array_equal(a, b) for a, b in zip(featurize(stepwise), featurize(at_once), strict=True))
    assert without_items(WORLDS[0], (), MAP) is WORLDS[0]
