"""Evidence about a service doesn't depend on the number of its peers."""

import numpy as np
import pytest
from telling import sentences_of

from data.incident import Incident, Series


def crowd(peers: int) -> Incident:
    """One service with many errors; the errors of its `peers` spread evenly around 1 %."""
    usual = np.linspace(0.00999, 0.01001, peers)
    telemetry = {f"p{i}": {"error_rate": Series(np.array([rate]))} for i, rate in enumerate(usual.tolist())}
    telemetry["loud"] = {"error_rate": Series(np.array([0.8, np.nan]))}  # its latest point is missing
    telemetry["mute"] = {"error_rate": Series(np.full(2, np.nan))}
    graph = {"p0": ("loud", "loud"), "p1": ("loud",), "loud": ("loud", "mute")}
    return Incident("crowd", tuple(telemetry), graph, telemetry)


@pytest.mark.parametrize("peers", [21, 2_001])
def test_a_service_is_compared_with_all_its_peers(peers: int) -> None:
    evidence = sentences_of(crowd(peers), ["loud", "mute", "p2"])
    (sentence,) = evidence["loud"]
    assert sentence.startswith("error_rate is 80 % where the others have 1 %")
    assert evidence["mute"] == ("its only caller is degraded too: loud",)
    assert evidence["p2"] == ()


def test_callers_that_suffer_are_named_once_each() -> None:
    calm = 0.1 + 0.001 * np.arange(5)
    slow = {"latency_p99_s": Series(np.array([0.9]), calm)}
    graph = {"a": ("store", "store"), "b": ("store",), "store": ("store",), "c": ()}
    incident = Incident("shared", ("a", "b", "c", "store"), graph, {"a": slow, "b": slow, "c": slow})
    (sentence,) = sentences_of(incident, ["store"])["store"]
    assert sentence == "2 of its 2 callers are degraded too: a, b"
