"""Names of pods, workloads and addresses come to one; what is derived from parts keeps to its bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.sources import derive
from data.sources.live.names import Names
from data.sources.live.queries import By


def names(by: By) -> Names:
    known = Names(by)
    for service in ("web", "orders", "stock"):
        known.service(service)
    for pod in ("orders-0", "orders-1"):
        known.pod(pod, "orders")
    known.pod("stock-7d9f8b6c5-x2x4z", "stock")
    known.address("10.0.0.7:8080", "orders", "orders-1")
    return known


@pytest.mark.parametrize(
    ("name", "service", "pod"),
    [
        ("orders", "orders", "orders"),
        ("shop/orders", "orders", "orders"),
        ("orders-1", "orders", "orders-1"),
        ("orders-1.orders.shop.svc.cluster.local", "orders", "orders-1"),
        ("http://orders.shop.svc:8080", "orders", "orders"),
        ("10.0.0.7:8080", "orders", "orders-1"),
        ("10.0.0.7", "orders", "orders-1"),
        ("stock-7d9f8b6c5-x2x4z", "stock", "stock"),
        ("stock-7d9f8b6c5-aaaaa", "stock", "stock"),
        ("stock-2", "stock", "stock"),
        ("api.stripe.com", "api.stripe.com", "api.stripe.com"),
        ("api.stripe.com:443", "api.stripe.com", "api.stripe.com"),
        ("unknown", "", ""),
        ("user", "", ""),
        ("", "", ""),
    ],
)
def test_every_name_comes_to_one(name: str, service: str, pod: str) -> None:
    assert names("service").resolve(name) == service
    assert names("pod").resolve(name) == pod


def test_only_replicas_are_told_apart() -> None:
    by_pod = names("pod")
    assert (
        by_pod.resolve("orders", "orders-0") == "orders-0"
        and by_pod.resolve("stock", "stock-7d9f8b6c5-x2x4z") == "stock"
    )
    assert by_pod.replicas("orders") == ["orders-0", "orders-1"] and names("service").replicas("orders") == []
    assert by_pod.owners(["orders-0", "web"]) == {"orders-0": "orders"}


@given(st.text(max_size=20), st.text(max_size=10))
def test_any_name_resolves(name: str, pod: str) -> None:
    for by in ("service", "workload", "pod"):
        assert isinstance(names(by).resolve(name, pod), str)


rates = arrays(float, (1, 5), elements=st.floats(0, 1e6) | st.just(np.nan))
HERE = np.array([0])  # the one service that calls are from or for


def table(**metrics: list[list[float]]) -> derive.Table:
    return {metric: np.array(rows, dtype=float) for metric, rows in metrics.items()}


@given(rates, rates, rates, rates, rates)
def test_what_is_derived_keeps_to_its_bounds(
    rate: derive.Floats,
    failed: derive.Floats,
    seconds: derive.Floats,
    served: derive.Floats,
    mean: derive.Floats,
) -> None:
    parts = {"request_rate": rate, "_failed": failed, "_seconds": seconds}
    with np.errstate(all="ignore"):
        values = derive.requests(parts, {"_failed": np.array([True])}, 60.0)
        values["latency_caller_s"] = values.pop("latency_mean_s")
        derive.compare(values, HERE, {"request_rate": served, "latency_mean_s": mean}, 60.0)
    for metric, largest in (("error_rate", 1.0), ("unmatched_share", 1.0), ("latency_gap_s", np.inf)):
        known = values[metric][np.isfinite(values[metric])]
        assert ((known >= 0) & (known <= largest)).all()
    assert np.isnan(values["error_rate"][~(rate > 0)]).all()


def test_what_one_service_comes_to_is_what_it_comes_to_among_others() -> None:
    random = np.random.default_rng(0)
    rate, failed, p99 = random.uniform(0, 3, (3, 40, 30))
    rate[random.random(rate.shape) < 0.2] = np.nan
    rate[3], failed[5], p99[7] = np.nan, np.nan, np.nan
    asked = random.random(40) < 0.5
    caller, callee = random.integers(0, 40, (2, 90))
    calls = {
        "request_rate": random.uniform(0, 3, (90, 30)),
        "latency_caller_s": random.uniform(0, 1, (90, 30)),
    }
    parts = {"request_rate": rate, "_failed": failed, "_seconds": rate * 2, "latency_p99_s": p99}
    together = derive.requests(parts, {"_failed": asked}, 60.0)
    own = derive.own_latency(together, calls, caller)
    seen = dict(calls)
    derive.compare(seen, callee, together, 60.0)
    assert own is not None
    for one in range(40):
        alone = derive.requests(
            {m: rows[[one]] for m, rows in parts.items()}, {"_failed": asked[[one]]}, 60.0
        )
        for metric, rows in alone.items():
            np.testing.assert_array_equal(rows[0], together[metric][one])
        mine = {metric: rows[caller == one] for metric, rows in calls.items()}
        left = derive.own_latency(alone, mine, np.zeros(len(mine["request_rate"]), dtype=np.int64))
        assert left is not None
        np.testing.assert_allclose(left[0], own[one])
        into = {metric: rows[callee == one] for metric, rows in calls.items()}
        derive.compare(into, np.zeros(len(into["request_rate"]), dtype=np.int64), alone, 60.0)
        for metric, rows in into.items():
            np.testing.assert_allclose(rows, seen[metric][callee == one])


def test_the_gap_of_one_call_is_never_more_than_that_of_all_together() -> None:
    """One caller makes only slow requests: the mean over callers misleads, their sum does not."""
    calls = table(request_rate=[[1.0], [9.0]], latency_caller_s=[[1.0], [0.1]])
    derive.compare(calls, np.array([0, 0]), table(latency_mean_s=[[0.19]]), 60.0)
    assert calls["latency_gap_s"].ravel() == pytest.approx([0.0, 0.0], abs=1e-9)


def test_calls_that_never_arrive_are_missing() -> None:
    call = table(request_rate=[[10.0, 10.0]])
    derive.compare(call, HERE, table(request_rate=[[10.0, np.nan]]), 60.0)
    [missing] = call["unmatched_share"]
    assert missing[0] == 0.0 and missing[1] > 0.8


def test_restarts_changes_and_ages() -> None:
    assert derive.restarts(np.array([[10.0, 20.0, 5.0, 15.0, 2.0]])).tolist() == [[0, 0, 1, 1, 2]]
    assert derive.moved(np.array([3.0, 3.0, np.nan, 4.0])).tolist() == [False, False, False, True]
    there = np.array([True, True, False]), np.array([False, True, True])
    changed = derive.replaced({"1": there[0], "2": there[1]})
    assert changed.tolist() == [False, True, False]
    assert derive.age(changed, 15.0)[1:].tolist() == [0, 15] and np.isnan(derive.age(changed, 15.0)[0])


def test_own_time_is_what_calls_leave_over() -> None:
    service = table(request_rate=[[2.0, 2.0]], latency_mean_s=[[0.3, 1.3]])
    call = table(request_rate=[[4.0, 4.0]], latency_caller_s=[[0.1, 0.6]])
    own = derive.own_latency(service, call, HERE)
    assert own is not None and own[0].tolist() == pytest.approx([0.1, 0.1])
    overlapping = table(request_rate=[[4.0, 4.0]], latency_caller_s=[[0.2, 0.9]])
    untimed = table(request_rate=[[4.0, 4.0]], latency_caller_s=[[np.nan, np.nan]])
    for calls in (overlapping, untimed):
        own = derive.own_latency(service, calls, HERE)
        assert own is not None and np.isnan(own).all()


def test_the_share_of_failing_calls_is_over_all_of_them() -> None:
    calls = table(request_rate=[[3.0], [1.0]], error_rate=[[1.0], [0.0]])
    failing = derive.failing_calls(calls, np.array([0, 0]), 2)
    assert failing is not None and failing[0].tolist() == [0.75] and np.isnan(failing[1]).all()
    calls["error_rate"][1] = np.nan
    failing = derive.failing_calls(calls, np.array([0, 0]), 1)
    assert failing is not None and np.isnan(failing).all()
