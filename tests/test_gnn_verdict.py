"""No accusation without evidence; the service that explains more comes first; "nobody" is an answer."""

from dataclasses import replace

import numpy as np
import pytest

from agent.report.diagnosis import in_one_sentence
from data.incident import AlertEvent, Incident, Page, Series
from gnn.registry import make_ranker

NOISE = np.random.default_rng(3).uniform(-0.05, 0.05, 60)


def calm(level: float, shift: int = 0) -> Series:
    """A metric that stays within its baseline."""
    points = level * (1.0 + np.roll(NOISE, shift))
    return Series(points[:12], points[12:])


def sick(level: float, by: float) -> Series:
    """The same, many times worse during the incident."""
    usual = calm(level)
    return Series(usual.incident * by, usual.baseline)


def hotel(**slow: float) -> Incident:
    """Eight services, two without metrics; `slow` maps a service to its slowdown factor."""
    calls = {
        "desk": ["rooms", "rates", "guests"],
        "rooms": ["rooms-db", "names"],
        "rates": ["names"],
        "guests": ["names", "mail"],
        "rooms-db": [],
    }
    measured = ("desk", "rooms", "rates", "guests", "rooms-db")
    telemetry = {
        name: {
            "latency_p99_s": sick(0.2, slow[name]) if name in slow else calm(0.2, shift),
            "error_rate": sick(0.01, 20.0) if name in slow else calm(0.01, shift),
            "cpu_usage": calm(0.3, shift),
        }
        for shift, name in enumerate(measured)
    }
    return Incident("hotel", (*measured, "names", "mail"), calls, telemetry)


def test_where_all_is_well_nobody_is_named() -> None:
    ranking = make_ranker("gnn").rank(hotel())
    assert (ranking.verdict, ranking.reason) == ("nobody", "nothing here deviates from its past")
    assert ranking.unsure
    assert ranking.incident_probability is not None and ranking.incident_probability < 0.5


def test_alerts_that_fire_every_day_accuse_nobody() -> None:
    everywhere = {
        AlertEvent(name, "metric", "ManyOpenFiles", None): share
        for name, share in zip(hotel().services, (1.0, 1.0, 0.9, 0.8, 0.4), strict=False)
    }
    ranking = make_ranker("gnn").rank(replace(hotel(), alerts=tuple(everywhere), routine=everywhere))
    assert ranking.verdict == "nobody"


def test_without_any_evidence_nobody_is_likelier_than_by_chance_and_all_is_not_well() -> None:
    for incident in (replace(hotel(), telemetry={}), Incident("nothing", (), {})):
        ranking = make_ranker("gnn").rank(incident)
        assert (ranking.verdict, ranking.incident_probability) == ("unsure", None)
        assert [c.probability for c in ranking.candidates] == pytest.approx([1 / 7] * len(incident.services))
        assert in_one_sentence(ranking) == f"Unsure: {ranking.reason}." and ranking.reason


def test_an_unmeasured_service_without_sick_callers_comes_after_all_measured_ones() -> None:
    for incident in (hotel(), hotel(rates=30.0)):
        ranking = make_ranker("gnn").rank(incident)
        assert ranking.services[-1] == "mail" or "mail" in ranking.services[-2:]


def test_of_two_unmeasured_services_the_one_that_explains_more_comes_first() -> None:
    ranking = make_ranker("gnn").rank(hotel(desk=20.0, rooms=25.0, rates=25.0, guests=25.0))
    assert ranking.services.index("names") < ranking.services.index("mail")


@pytest.mark.parametrize("name", ["TargetDown", "KafkaDown", "KubePodCrashLooping", "ContainerOOMKilled"])
def test_what_is_down_comes_before_those_that_only_fail(name: str) -> None:
    calls = {"shop": ["basket", "stock"], "basket": ["store"], "stock": ["store"]}
    alerts = (
        AlertEvent("store", "metric", name, "up"),
        AlertEvent("shop", "metric", "HighErrorRate", "up"),
        AlertEvent("basket", "metric", "HighErrorRate", "up"),
    )
    ranking = make_ranker("gnn").rank(
        Incident("x", ("shop", "basket", "stock", "store"), calls, alerts=alerts)
    )
    assert ranking.services[0] == "store"
    assert ranking.verdict != "nobody"


@pytest.mark.parametrize(
    ("own", "owners"), [("cpu_usage", {}), ("request_rate", {}), ("cpu_usage", {"db": "x"})]
)
def test_who_stops_reporting_comes_before_callers_in_trouble(own: str, owners: dict[str, str]) -> None:
    """Not if only its requests end, which nobody may send, and not if another replica goes on."""
    ended = {own: replace(calm(0.3), incident=np.full(12, np.nan))}
    telemetry = {
        "web": {"error_rate": sick(0.01, 30.0), "cpu_usage": calm(0.3, 3)},
        "db": ended,
        "db-2": {"cpu_usage": calm(0.3, 5)},
    }
    owners |= {"db-2": "x"} if owners else {}
    incident = Incident("x", tuple(telemetry), {"web": ("db", "db-2")}, telemetry, owners=owners)
    assert (make_ranker("gnn").rank(incident).services[0] == "db") == (own == "cpu_usage" and not owners)


def test_a_page_alone_is_reason_enough_to_look() -> None:
    ranking = make_ranker("gnn").rank(replace(hotel(), page=Page("desk", "latency")))
    assert ranking.verdict != "nobody"


def test_what_no_user_feels_is_no_incident_where_one_is_unlikely() -> None:
    """Traffic rises everywhere and a pool fills slightly; the shop is as fast as before."""
    incident = hotel()
    busier = {"request_rate": sick(10.0, 2.0), "open_connections": sick(20.0, 1.5)}
    telemetry = {name: {**metrics, **busier} for name, metrics in incident.telemetry.items()}
    alerts = tuple(AlertEvent(name, "metric", "ManyOpenFiles", "up") for name in incident.services)
    ranking = make_ranker("gnn").rank(replace(incident, telemetry=telemetry, alerts=alerts))
    assert ranking.verdict != "culprit"


@pytest.mark.parametrize("waits", [True, False])
def test_who_only_waits_for_an_unmeasured_service_comes_after_it(waits: bool) -> None:
    """Guests is no slower itself, only its calls to mail are; or it is slow itself."""
    incident = hotel(guests=8.0, desk=4.0)
    own = {name: {"own_latency_s": calm(0.05, 9)} for name in incident.telemetry}
    if not waits:
        own["guests"] = {"own_latency_s": sick(0.05, 30.0)}
    calls = {("guests", "mail"): {"latency_caller_s": sick(0.1, 20.0) if waits else calm(0.1, 4)}}
    telemetry = {
        name: {**{metric: one for metric, one in metrics.items() if metric != "error_rate"}, **own[name]}
        for name, metrics in incident.telemetry.items()
    }
    ranking = make_ranker("gnn").rank(replace(incident, telemetry=telemetry, call_telemetry=calls))
    assert (ranking.services.index("mail") < ranking.services.index("guests")) == waits


def test_without_a_past_who_fails_most_requests_comes_before_the_unknown_that_it_does_not_call() -> None:
    calls = {"api": ("db", "cache"), "db": ("disk",), "disk": ("block",)}
    names = ("api", "cache", "db", "disk", "block")
    fails = {"db": {"http_server_error_rate": Series(np.array([0.9]))}}
    ranking = make_ranker("gnn").rank(Incident("x", names, calls, telemetry=fails))
    assert set(ranking.services[:3]) == {"db", "disk", "block"}
