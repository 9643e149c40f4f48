"""What calls say: which are slow, failing, lost or quiet, and which service explains the bad ones best.

A fault of the network at a service makes its calls bad, in and out, and none that avoid it; what a caller
waits for makes the calls to that caller slow in turn. Shapes: S services, E calls, A call features.
"""

import numpy as np
import numpy.typing as npt

from data.channels import Channel, ChannelMap
from data.incident import Incident
from gnn.features.deviation import ABNORMAL, STATISTICS, deviations
from gnn.features.drift import LATENCY
from gnn.features.nan_statistics import lead
from gnn.features.stack import CHANNEL_INDEX, stack_rows
from gnn.features.topology import Calls

Floats = npt.NDArray[np.float64]

CALL_FEATURES = ("has", "slow", "failing", "between", "quiet", "unexplained")
CALL_COLUMNS = (
    "calls_in", "calls_out",  # share of its calls that are bad
    "calls_cover", "calls_cover_lead",  # how well it explains all bad calls
    "calls_source", "calls_source_lead",  # how well it explains those that no bad call further on explains
    "calls_left", "calls_left_lead",  # what it explains of these beside the best
)  # fmt: skip
_HAS, _SLOW, _FAILING, _BETWEEN, _QUIET, _UNEXPLAINED = range(len(CALL_FEATURES))
_UP, _DOWN = STATISTICS.index("up"), STATISTICS.index("down")
_LOUDER = 4  # how much more the louder of two calls counts, as a power of their deviations
_TIED = 1e-9
_UNKNOWN = 0.5  # how bad a call is of which a trace alert says nothing more


def call_evidence(
    incident: Incident, calls: Calls, index: dict[str, int], channel_map: ChannelMap
) -> tuple[Floats, Floats]:
    """(E, A) what is known of each call itself, and (S, 8) which services that speaks against.

    Args:
        incident: whose trace alerts and call telemetry are read.
        calls: among its services.
        index: row of each service.
        channel_map: how metric names are read.
    """
    edges = calls.edge_index.shape[1]
    out, columns = np.zeros((edges, len(CALL_FEATURES))), np.zeros((len(index), len(CALL_COLUMNS)))
    if not edges or not (incident.call_telemetry or incident.alerts):
        return out, columns
    position = {pair: i for i, pair in enumerate(zip(*calls.edge_index.tolist(), strict=True))}
    bad = np.zeros(edges)  # 0..1
    seen = _alerted(incident, position, index, out, bad)
    if seen:
        out[:, _HAS] = 1.0  # who watches every call says of the others that they are well
    if incident.call_telemetry:
        _measured(incident, position, index, channel_map, out, bad)
    if not bad.any():
        return out, columns
    out[:, _UNEXPLAINED] = _unexplained(calls, bad)
    columns[:] = _explained(calls, out[:, _HAS], bad, out[:, _UNEXPLAINED])
    return out, columns


def _alerted(
    incident: Incident, position: dict[tuple[int, int], int], index: dict[str, int], out: Floats, bad: Floats
) -> bool:
    """Counts trace alerts into `out` and `bad`, in place; whether there are any of known calls."""
    seen = False
    for alert in incident.alerts:
        if alert.kind != "trace" or not alert.caller or alert.caller not in index:
            continue
        edge = position.get((index[alert.caller], index.get(alert.service, -1)))
        if edge is None:
            continue
        seen = True
        weight = 1.0 - incident.routine.get(alert, 0.0)
        if alert.direction is not None:
            out[edge, _SLOW if alert.direction == "PD" else _FAILING] += weight
        bad[edge] = max(bad[edge], weight if alert.direction is not None else _UNKNOWN * weight)
    out[:, _SLOW : _FAILING + 1] = np.log1p(out[:, _SLOW : _FAILING + 1])
    return seen


def _measured(
    incident: Incident,
    position: dict[tuple[int, int], int],
    index: dict[str, int],
    channel_map: ChannelMap,
    out: Floats,
    bad: Floats,
) -> None:
    """Reads call telemetry into `out` and `bad`, in place."""
    placed = [
        (position[index[caller], index[callee]], metrics)
        for (caller, callee), metrics in incident.call_telemetry.items()
        if (index.get(caller), index.get(callee)) in position
    ]
    if not placed:
        return
    edges = np.array([edge for edge, _ in placed])
    up, down = (
        deviations(stack_rows([metrics for _, metrics in placed], channel_map))
        .statistics[..., [_UP, _DOWN]]
        .transpose(2, 0, 1)
    )  # (2, calls, C)
    found = np.zeros((len(edges), len(CALL_FEATURES)))
    found[:, _HAS] = 1.0
    found[:, _SLOW] = up[:, [CHANNEL_INDEX[channel] for channel in LATENCY]].max(axis=1)
    found[:, _FAILING] = up[:, CHANNEL_INDEX[Channel.ERROR]]
    found[:, _BETWEEN] = up[:, CHANNEL_INDEX[Channel.NETWORK_FAULT]]
    found[:, _QUIET] = down[:, CHANNEL_INDEX[Channel.TRAFFIC]]
    out[edges] = np.maximum(out[edges], found)
    # What lies between the two is of the call itself; what is slow or fails may come from further on.
    worst = found[:, [_SLOW, _FAILING]].max(axis=1)
    between = found[:, _BETWEEN]
    if between.any():
        worst = np.where(between > 0, np.maximum(between, 0.7 * worst), 0.5 * worst)
    # The loudest count: what is wrong somewhere makes many others a little unsteady.
    bad[edges] = np.maximum(bad[edges], (worst / max(worst.max(), ABNORMAL)) ** _LOUDER)


def _unexplained(calls: Calls, bad: Floats) -> Floats:
    """How bad each call is beyond what its callee's own calls explain: (E,)."""
    caller, callee = calls.edge_index
    further = np.zeros(calls.services)
    np.maximum.at(further, caller, bad)
    return np.asarray(bad * (1.0 - 0.9 * further[callee]))


def _explained(calls: Calls, has: Floats, bad: Floats, unexplained: Floats) -> Floats:
    """(S, 8): how many bad calls each service has, and how well it alone explains them.

    The measure is Ochiai's, of spectrum-based fault localisation: bad calls that touch the service over the
    root of all bad calls times all that touch it.
    """
    services = calls.services
    caller, callee = calls.edge_index

    def touching(values: Floats) -> Floats:
        return np.asarray(
            np.bincount(caller, values, services) + np.bincount(callee, values, services), float
        )

    def cover(values: Floats, others: Floats) -> Floats:
        return np.asarray(touching(values) / np.sqrt(np.maximum(values.sum() * touching(others), 1e-9)))

    well = _well(calls, has, bad)
    counted = bad + well
    total_in, total_out = np.bincount(callee, counted, services), np.bincount(caller, counted, services)
    bad_in = np.bincount(callee, bad, services) / np.maximum(total_in, 1e-9)
    bad_out = np.bincount(caller, bad, services) / np.maximum(total_out, 1e-9)
    everything, source = cover(bad, counted), cover(unexplained, unexplained + well)
    best = source >= source.max() - _TIED
    left = touching(np.where(best[caller] | best[callee], 0.0, unexplained))
    left[best] = touching(unexplained)[best]
    left /= max(unexplained.sum(), 1e-9)
    columns = [bad_in, bad_out]
    for values in (everything, source, left):
        columns += [values, lead(values[None])[0]]
    return np.column_stack(columns)


def _well(calls: Calls, has: Floats, bad: Floats) -> Floats:
    """How well each call is; where no direction is known, a call is two halves, each as bad as the other."""
    caller, callee = calls.edge_index
    key, mirror = caller * calls.services + callee, callee * calls.services + caller  # `key` is sorted
    at = np.minimum(np.searchsorted(key, mirror), len(key) - 1)
    both = key[at] == mirror
    worst = np.where(both, np.maximum(bad, bad[at]), bad)
    return np.asarray(np.where(both, 0.5, 1.0) * has * (1.0 - worst))
