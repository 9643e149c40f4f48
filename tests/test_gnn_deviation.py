"""What a past is good for: how far a metric is from it, and when it says nothing."""

import numpy as np

from data.channels import Channel
from data.incident import Incident, Series
from gnn.features.deviation import STATISTICS
from gnn.features.featurize import CHANNEL_BLOCK, SERVICE_FEATURES, featurize
from gnn.features.stack import CHANNELS

WAVE = 1.0 + 0.1 * np.sin(np.arange(20.0))


def block(incident: Incident) -> np.ndarray:
    """(S, C, K)"""
    x = featurize(incident).x
    return x[:, : CHANNEL_BLOCK[0] * CHANNEL_BLOCK[1]].reshape(len(x), *CHANNEL_BLOCK)


def of(incident: Incident, channel: Channel, statistic: str) -> list[float]:
    found: list[float] = block(incident)[:, CHANNELS.index(channel), STATISTICS.index(statistic)].tolist()
    return found


def shop(telemetry: dict[str, dict[str, Series]], calls: dict[str, list[str]] | None = None) -> Incident:
    return Incident("shop", tuple(telemetry), calls or {name: [] for name in telemetry}, telemetry)


def test_how_long_ago_something_changed_is_read_alike_with_and_without_a_past() -> None:
    errors = Series(np.full(5, 0.3), 0.001 * WAVE)
    now = 60.0 + 10.0 * np.arange(5.0)
    old = Series(now, 400_000.0 + 10.0 * np.arange(20.0))
    with_past, without = (
        shop({"cart": {"error_rate": errors, "seconds_since_deploy": age}, "web": {"error_rate": errors}})
        for age in (old, Series(now))
    )
    assert np.array_equal(featurize(with_past).x, featurize(without).x)
    assert of(with_past, Channel.DEPLOY_AGE, "level")[0] > 0.8
    assert not any(of(with_past, Channel.DEPLOY_AGE, "down"))


def test_a_gauge_that_never_moved_takes_its_scale_from_its_peers() -> None:
    steady = {name: {"memory_share": Series(np.full(5, 0.4), 0.4 * WAVE)} for name in "abc"}
    flat = {"flat": {"memory_share": Series(np.full(5, 0.5), np.zeros(20))}}
    alone = {"flat": flat["flat"], "b": {"memory_share": Series(np.full(5, 0.4), np.full(20, 0.4))}}
    beside = of(shop({**flat, **steady}), Channel.MEMORY, "up")[0]
    assert 0.0 < beside < of(shop(alone), Channel.MEMORY, "up")[0] - 1.0


def test_errors_where_there_never_were_any_are_news_whatever_the_peers_do() -> None:
    noisy = {name: {"error_rate": Series(np.full(5, 0.2), 0.2 * WAVE)} for name in "abc"}
    first = {"clean": {"error_rate": Series(np.full(5, 0.2), np.zeros(20))}}
    assert of(shop({**first, **noisy}), Channel.ERROR, "up")[0] > 4.0


def test_who_moves_more_than_the_service_behind_is_not_folded_into_it() -> None:
    def latency(now: float, past: float) -> dict[str, Series]:
        return {"latency_mean_ms": Series(now * np.linspace(0.9, 1.0, 5), past * WAVE)}

    calls = {"web": ["leaf", "travel"], "travel": ["route"], "leaf": [], "route": []}
    telemetry = {
        "web": {},
        "leaf": latency(210.0, 1.8),
        "travel": latency(5.2, 4.0),
        "route": latency(1.6, 1.6),
    }
    loud = featurize(shop(telemetry, calls)).x
    tail = loud[:, SERVICE_FEATURES.index("latency_mid.up")]
    assert tail.argmax() == 1 and tail[1] > 4.0
    echo = loud[:, SERVICE_FEATURES.index("echo")]
    assert echo.max() <= 0.5


def test_an_address_that_moves_as_the_service_behind_still_counts_for_it() -> None:
    step = np.linspace(0.9, 1.0, 5)
    telemetry = {
        "web": {},
        "address": {"latency_mean_ms": Series(50.0 * step, 5.0 * WAVE)},
        "travel": {"latency_mean_ms": Series(40.0 * step, 4.0 * WAVE), "cpu_usage": Series(np.full(5, 0.2))},
    }
    graph = featurize(shop(telemetry, {"web": ["address", "travel"], "address": [], "travel": []}))
    tail = graph.x[:, SERVICE_FEATURES.index("latency_mid.up")]
    assert tail[1] == 0.0 and tail[2] > 2.0
