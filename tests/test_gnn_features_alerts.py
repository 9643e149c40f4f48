"""Laws of alerts as features: rare ones weigh more, and which way is bad."""

import numpy as np
import pytest

from data.channels import default_channel_map
from data.incident import AlertEvent, Incident, Page, Series
from gnn.features.featurize import SERVICE_FEATURES, featurize


def test_an_alert_weighs_more_the_fewer_services_show_it() -> None:
    alerts = [AlertEvent(name, "metric", "cpu_usage", "up") for name in "abcd"]
    alerts.append(AlertEvent("b", "metric", "mem_usage", "up"))
    graph = featurize(Incident("rare", tuple("abcdefgh"), {}, alerts=tuple(alerts)))
    cpu, memory = (graph.x[:, SERVICE_FEATURES.index(f"{name}.mean")] for name in ("cpu", "memory"))
    assert memory[1] == pytest.approx(np.log1p(1.0))  # the only one of eight
    assert cpu[0] == pytest.approx(np.log1p(np.log(2) / np.log(8)))  # one of four of eight
    assert not cpu[4:].any()


def test_an_alert_beside_series_leaves_their_rhythm_alone() -> None:
    calm, slow = np.full(12, 0.1), np.array([0.1, 0.9])
    telemetry = {name: {"latency_p99": Series(slow, calm)} for name in ("web", "db")}
    incident = Incident("page", ("web", "db"), {"web": ["db"]}, telemetry, page=Page("web", "latency"))
    alert = AlertEvent("web", "metric", "latency_avg", "up")
    beside = Incident(
        "page", ("web", "db"), {"web": ["db"]}, telemetry, alerts=(alert,), page=Page("web", "latency")
    )
    aligned = [featurize(one).x[:, SERVICE_FEATURES.index("aligned")] for one in (incident, beside)]
    assert aligned[0].all()
    np.testing.assert_array_equal(*aligned)


@pytest.mark.parametrize(
    ("name", "direction", "bad"),
    [
        ("availability", "down", True),
        ("availability", "up", False),
        ("availability", None, True),
        ("cpu", "up", True),
        ("cpu", "down", False),
        ("cpu", None, True),
    ],
)
def test_an_alert_is_bad_unless_it_says_that_its_metric_got_better(
    name: str, direction: str | None, bad: bool
) -> None:
    channel = default_channel_map()(name).channel
    x = featurize(Incident("x", ("a", "b"), {}, alerts=(AlertEvent("a", "metric", name, direction),))).x
    up, down = (x[0, SERVICE_FEATURES.index(f"{channel}.{name}")] for name in ("up", "down"))
    assert (up > 0.0, down > 0.0) == (bad, not bad)


def test_an_alert_at_nobody_is_no_evidence() -> None:
    assert (
        featurize(Incident("x", (), {}, alerts=(AlertEvent("host", "metric", "cpu", "up"),))).x.shape[0] == 0
    )


def test_an_alert_that_flaps_does_not_drown_the_others() -> None:
    once = AlertEvent("front", "metric", "error_rate", "up")
    rest = tuple(AlertEvent(name, "metric", "error_rate", "up") for name in ("mid", "store"))
    names, graph = ("front", "mid", "store"), {"front": ["mid"], "mid": ["store"], "store": []}

    def columns(repeats: int) -> np.ndarray:
        return featurize(Incident("flap", names, graph, alerts=(*rest, *[once] * repeats))).x

    assert not np.array_equal(columns(1), columns(2))
    assert np.array_equal(columns(3), columns(50))
