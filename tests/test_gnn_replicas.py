"""Replicas are found by owner, by name pattern, or by their place in the call graph."""

import itertools

import numpy as np
import pytest
from telling import sentences_of

from data.incident import AlertEvent, Incident
from gnn.features.featurize import GRAPH_FEATURES, SERVICE_FEATURES, featurize
from gnn.features.replicas import Replicas, replicas
from gnn.features.topology import Calls, calls_of

COLUMN = {name: index for index, name in enumerate(SERVICE_FEATURES)}
# Two replicas of everything; every instance calls every instance below.
LAYERS = (("front-0", "front-1"), ("cart-0", "cart-1"), ("store-0", "store-1"))
SERVICES = tuple(name for layer in LAYERS for name in layer)
REPLICATED = {
    **{name: list(below) for above, below in itertools.pairwise(LAYERS) for name in above},
    **{name: [] for name in LAYERS[-1]},
}


def graph_of(calls: dict[str, list[str]]) -> Calls:
    return calls_of(Incident("graph", tuple(calls), calls), {name: row for row, name in enumerate(calls)})


def found(calls: dict[str, list[str]]) -> Replicas:
    """The replicas found by calls alone; names give no hint."""
    opaque = ["".join(chr(ord("a") + int(digit)) for digit in str(number)) for number in range(len(calls))]
    return replicas(graph_of(calls), opaque, {}, ask_calls=True)


def groups(names: list[str], owners: dict[str, str] | None = None) -> list[list[int]]:
    """The replicas of each service, found by names and owners alone."""
    told = replicas(graph_of({name: [] for name in names}), names, owners or {}, ask_calls=False)
    return [told.of(row) for row in range(len(names))]


@pytest.mark.parametrize(
    "pattern",
    [
        ("{}-0", "{}-1"),
        ("{}1", "{}2"),
        ("{}_1", "{}_2"),
        ("{}-7d4b9c-x2x1z", "{}-7d4b9c-q8rtv"),
        ("{}-5f6d8b9c4-abcde", "{}-9c5f6d8b9-zx2cv"),
        ("{}-az-a", "{}-az-b"),
        ("{}-eu-west-1a", "{}-eu-west-1b"),
        ("{}", "{}-az-b"),
    ],
)
def test_a_pattern_of_names_tells_replicas_whatever_the_name(pattern: tuple[str, str]) -> None:
    for words in (("cart", "orders", "user-db"), ("x", "payment", "api-gateway")):
        names = [how.format(word) for word in words for how in pattern]
        assert groups(names) == [[1], [0], [3], [2], [5], [4]]


def test_names_that_are_merely_numbered_tell_nothing() -> None:
    assert groups([f"service-{number}" for number in range(9)]) == [[]] * 9
    assert groups(["cart-0", "orders-0", "user-0", "geo-0"]) == [[]] * 4


def test_the_owner_knows_better_than_the_name() -> None:
    owners = {"a-1": "one", "kiwi": "one", "a-2": "two"}
    assert groups(["a-1", "a-2", "kiwi", "plum"], owners) == [[2], [], [0], []]


def test_replicas_are_each_others_twins() -> None:
    twin = found(REPLICATED)
    assert [twin.of(row) for row in range(6)] == [[1], [0], [3], [2], [5], [4]]
    assert twin.alike.tolist() == [1.0] * 6


def test_calls_between_twins_do_not_tell_them_apart() -> None:
    chatting = {**REPLICATED, "cart-0": [*REPLICATED["cart-0"], "cart-1"]}
    assert found(chatting).alike.tolist() == [1.0] * 6


def test_of_three_replicas_each_has_the_other_two() -> None:
    twin = found({"front": ["a", "b", "c"], "a": [], "b": [], "c": []})
    assert twin.of(1) == [2, 3]
    lead = twin.lead(np.array([[9.0], [3.0], [1.0], [2.0]]))
    assert lead.ravel().tolist() == [0.0, 1.5, -1.5, 0.0]


def test_who_shares_too_little_is_no_twin() -> None:
    twin = found({"front": ["a", "b"], "a": ["c", "d"], "b": ["e", "f"], "c": [], "d": [], "e": [], "f": []})
    assert twin.alike[:3].tolist() == [0.0, 0.0, 0.0]
    assert twin.lead(np.ones((7, 2)))[:3].tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("calls", [{"alone": []}, {"self": ["self"]}, {"a": ["b"], "b": []}])
def test_without_common_neighbours_nobody_has_a_twin(calls: dict[str, list[str]]) -> None:
    twin = found(calls)
    assert not twin.alike.any()
    assert not twin.lead(np.ones((len(calls), 3))).any()


def test_a_hub_makes_no_twins() -> None:
    leaves = [f"leaf-{n}" for n in range(100)]
    assert not found({"hub": leaves, **{leaf: [] for leaf in leaves}}).alike.any()
    # … and counts as a neighbour that replicas do not share.
    users = {f"user-{n}": ["hub"] for n in range(100)}
    replicas = {"front": ["a", "b"], "a": ["hub", "c"], "b": ["hub", "c"], "c": []}
    twin = found({**replicas, "hub": [], **users})
    assert twin.alike[1:3].tolist() == [0.5, 0.5]


def test_the_order_of_the_services_means_nothing() -> None:
    rng = np.random.default_rng(0)
    names = [f"s{n}" for n in range(30)]
    calls = {name: rng.choice(names, 4, replace=False).tolist() for name in names}
    order = rng.permutation(30)
    values = rng.normal(size=(30, 2))
    here = found(calls)
    there = found({names[i]: calls[names[i]] for i in order})
    assert here.alike[order] == pytest.approx(there.alike)
    assert here.lead(values)[order] == pytest.approx(there.lead(values[order]))


def alerting(*services: str) -> Incident:
    alerts = tuple(AlertEvent(service, "metric", "cpu_usage", "up") for service in services)
    return Incident("alerts", SERVICES, REPLICATED, alerts=alerts)


def test_an_alert_that_the_twin_has_too_says_nothing_by_this() -> None:
    one, both = featurize(alerting("cart-0")).x, featurize(alerting("cart-0", "cart-1")).x
    cart = SERVICES.index("cart-0")
    assert one[cart, COLUMN["cpu.twin"]] == pytest.approx(np.log(2))
    assert one[cart + 1, COLUMN["cpu.twin"]] == pytest.approx(-np.log(2))
    assert both[cart, COLUMN["cpu.twin"]] == 0.0
    assert one[cart, COLUMN["twin_excess"]] > both[cart, COLUMN["twin_excess"]] == 0.0


def test_the_evidence_says_what_the_twin_shows() -> None:
    incident = alerting("cart-0", "cart-0", "store-1")
    told = sentences_of(incident, ["cart-0", "store-0", "store-1"])
    assert told["cart-0"][0].endswith(
        "2 alerts of its own: cpu_usage up; in the same place of the graph 0 at cart-1"
    )
    assert told["store-1"][0].endswith("; in the same place of the graph 0 at store-0")
    assert not any("same place" in sentence for sentence in told["store-0"])


def test_the_graph_free_control_knows_no_twins() -> None:
    hidden = {SERVICE_FEATURES[index] for index in GRAPH_FEATURES}
    assert {"cpu.twin", "twin_alike", "twin_excess"} <= hidden
    assert not any(name.endswith(".up") for name in hidden)
