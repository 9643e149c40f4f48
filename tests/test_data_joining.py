"""Several sources are one recording: the same service under two names is one, and nobody else is."""

from hypothesis import given
from hypothesis import strategies as st

from data.incident import AlertEvent
from data.sources.joining import join, same_services
from data.sources.recording import Recording


def test_the_same_service_is_known_by_its_core():
    names = {
        "checkoutservice": "checkout",
        "shop/cart-service": "cart",
        "svc_mail": "mail",
        "Ad.Service": "ad",
    }
    assert same_services(names.values(), names) == names
    assert same_services(names, names.values()) == {other: one for one, other in names.items()}


def test_who_could_be_two_is_nobody():
    assert same_services(["cart"], ["cart-service", "cartservice"]) == {}
    assert same_services(["cart", "cart-service"], ["cartservice"]) == {}
    assert same_services(["cart-db", "cart"], ["cart-db-1", "carts"]) == {}
    assert same_services(["service"], ["svc"]) == {}


words = st.sampled_from(["cart", "service", "svc", "db", "-", "_", ".", "/", "A"])
names = st.lists(st.lists(words, max_size=4).map("".join), max_size=6)


@given(names, names)
def test_no_two_services_of_one_source_become_one(known, new):
    same = same_services(known, new)
    assert len(set(same.values())) == len(same)
    after = [same.get(name, name) for name in dict.fromkeys(new)]
    assert len(set(after)) == len(after)
    assert same.keys() <= set(new) and set(same.values()) <= set(known)


def test_all_that_is_told_goes_to_the_one_service():
    metrics, traces = Recording(), Recording()
    metrics.series("checkout", "cpu_usage", [1.0], [0.5])
    metrics.series("web", "request_rate", [1.0], [5.0])
    traces.series(("web", "checkoutservice"), "latency_gap_s", [1.0], [0.1])
    traces.series("checkoutservice", "request_rate", [1.0], [1.0])
    traces.series("web", "request_rate", [1.0], [1.0])
    traces.alert(AlertEvent("checkoutservice", "trace", "slow", None, "web"), 3.0)
    traces.page("checkoutservice")
    join(metrics, traces, keep_known=True)
    assert set(metrics.services["checkout"]) == {"cpu_usage", "request_rate"}
    assert [values.tolist() for _, values in metrics.services["web"]["request_rate"]] == [[5.0]]
    assert set(metrics.calls) == {("web", "checkout")} and metrics.names == ("web", "checkout")
    assert list(metrics.alerts) == [AlertEvent("checkout", "trace", "slow", None, "web")]
    assert metrics.first_page is not None and metrics.first_page.service == "checkout"
    assert metrics.notes == ["Treated as the same service: checkoutservice = checkout."]
