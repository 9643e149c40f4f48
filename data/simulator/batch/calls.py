"""What a mesh or traces measure of each call: at its caller, at its callee, and between the two."""

import numpy as np
import numpy.typing as npt

from data.incident import Series
from data.simulator.active_faults import as_callers_see
from data.simulator.topology import Topology

Floats = npt.NDArray[np.float64]


def call_telemetry(
    rng: np.random.Generator,
    split: int,  # points before the incident
    topology: Topology,
    signals: dict[str, Floats],
    hidden: Floats,
) -> dict[tuple[str, str], dict[str, Series]]:
    """Each call as a mesh or traces measure it: at both ends, and what lies between the two.

    What a network does at a service lies between it and everybody whom it calls or who calls it.
    """
    calls = {}
    by_traces = rng.random() < 0.5
    # A slow callee also keeps callers waiting before it starts to work.
    queueing = float(rng.choice([0.0, 0.0, 0.1, 0.3]))
    network_s = float(np.exp(rng.normal(-6.0, 1.0)))

    def seen(values: Floats, callee: int) -> Floats:
        usual = float(np.nanmean(values[:split])) if np.isfinite(values[:split]).any() else 0.0
        return np.concatenate([values[:split], as_callers_see(values[split:], usual, hidden[callee])])

    def series(values: Floats) -> Series:
        return Series(values[split:], values[:split])

    for caller, callee in zip(topology.callers.tolist(), topology.callees.tolist(), strict=True):
        at_callee = signals["latency_p99"][callee] * rng.uniform(0.95, 1.05)
        usual = float(np.nanmean(at_callee[:split])) if np.isfinite(at_callee[:split]).any() else 0.0
        between = seen(signals["latency_p99"][callee], callee) - signals["latency_p99"][callee]
        between = between + signals["calling"][caller] + queueing * np.maximum(at_callee - usual, 0.0)
        between = between + network_s * np.exp(rng.normal(0.0, 0.3, len(between)))
        error = signals["error"][callee]
        lost = np.maximum(seen(error, callee) - error, 0.7 * signals["net_fault"][caller])
        lost = np.where(np.isfinite(lost), np.clip(lost, 0.0, 1.0), 0.0)
        error_seen = np.minimum(error + lost, 1.0)
        rate = signals["traffic"][callee] * rng.uniform(0.2, 1.0) * (1.0 - 0.5 * lost)
        pair = (topology.names[caller], topology.names[callee])
        if by_traces:
            calls[pair] = {
                "latency_caller_s": series(at_callee + between),
                "latency_callee_s": series(at_callee),
                "latency_gap_s": series(between),
                "unmatched_share": series(lost),
                "error_rate": series(error_seen),
                "request_rate": series(rate),
            }
        else:
            calls[pair] = {
                "latency_p99": series(at_callee + between),
                "error_rate": series(error_seen),
                "request_rate": series(rate),
            }
    return calls
