"""Decides whether a culprit is named: which services cannot be accused, and when nothing is wrong.

Shapes: S services, E calls, C channels, K statistics.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.arrays import Bools
from data.channels import Channel, ChannelMap
from data.incident import Incident
from gnn.features.deviation import ABNORMAL
from gnn.features.drift import LATENCY
from gnn.features.featurize import IS_PAGE, MODES, N_ALERTS, SERVICE_FEATURES, Graph
from gnn.features.stack import CHANNELS
from gnn.features.trouble import GONE, MEASURES, alerted, columns_of, in_trouble
from gnn.ranker import Verdict

Scores = npt.NDArray[np.float32]

_FELT = columns_of("beyond", (Channel.ERROR, *LATENCY))
_OWN = columns_of("beyond", (Channel.OWN_LATENCY, Channel.RESTARTS, Channel.ERROR, Channel.CLIENT_ERROR))
_OWN_HAS = SERVICE_FEATURES.index(f"{Channel.OWN_LATENCY}.has")
_FAILS = columns_of("beyond", (Channel.ERROR, Channel.RESTARTS))
_ERROR_LEVEL = SERVICE_FEATURES.index(f"{Channel.ERROR}.level")
_HAS = [i for i, name in enumerate(SERVICE_FEATURES) if name == "alerts" or name.endswith(".has")]
_REPORTS, _ENDED = columns_of("has", CHANNELS), columns_of("gone", CHANNELS)
_HAVING, _ITSELF = (
    columns_of(statistic, (Channel.CPU, Channel.MEMORY, Channel.SATURATION, Channel.DISK_IO))
    for statistic in ("has", "gone")
)
_MOST_MISSING = 0.8  # share of the points; the first may still be from before
_NEVER = np.float32(10.0)  # subtracted from the score of a service that cannot be accused
_DOWN = 2.0  # added to the score of a service that is down: the strongest alert
_MOSTLY = 0.5  # share of failed requests that speaks for itself, without a baseline
_MOST = 100  # most services without telemetry to compare
_EVEN = 0.5  # chance of an incident below which it is unlikely
_UNLIKELY = 0.2  # below this chance small deviations don't count
_LITTLE = float(np.arcsinh(8.0))  # a small deviation: robust z, as asinh
_TIED = 0.8  # share of the first suspect's probability from which a second one is as likely


def is_measured(graph: Graph) -> Bools:
    """Which services have telemetry or alerts: (S,)."""
    return np.asarray(graph.x[:, _HAS].any(axis=1))


def adjust_unmeasured(scores: Scores, graph: Graph, incident: Incident) -> Scores:
    """Adjusts the scores of services without telemetry or alerts of their own, by simple rules: (S,).

    Such a service is not accused if all its callers are healthy or, without a baseline, if another fails most
    of its requests and does not depend on it. It goes before another one if it has all the other's bad
    callers and more, unless it also has more healthy ones. It goes before a caller that only
    waits for it: its calls to the service are bad, and its own work takes no longer than usual.
    """
    unknown = ~is_measured(graph)
    if MODES[graph.mode] == "snapshot":  # without a baseline nobody can tell whether a caller is healthy
        return np.where(unknown & ~_behind_failing(graph, unknown), scores - _NEVER, scores)
    if incident.call_telemetry:  # metrics by callers are not the service's own
        silent = np.array([not incident.telemetry.get(name) for name in incident.services])
        unknown |= silent & (graph.x[:, N_ALERTS] == 0)
    if not unknown.any():
        return scores
    caller, callee = graph.edge_index
    bad_calls = _bad_calls(graph)
    bad = in_trouble(graph)[caller] | bad_calls
    accused = np.zeros(len(unknown), dtype=bool)
    accused[callee[bad]] = True
    scores = np.where(unknown & ~accused, scores - _NEVER, scores)
    rows = np.flatnonzero(unknown & accused)
    rows = rows[np.argsort(-scores[rows], kind="stable")][:_MOST].tolist()
    explains = {row: frozenset(caller[bad & (callee == row)].tolist()) for row in rows}
    surplus = {row: 2 * len(explains[row]) - int((callee == row).sum()) for row in rows}
    for more, less in itertools.permutations(rows, 2):
        if explains[less] < explains[more] and surplus[less] < surplus[more] and scores[less] > scores[more]:
            scores[[less, more]] = scores[[more, less]]
    waiting = _only_waits(graph)
    for row in rows:
        victims = caller[bad_calls & (callee == row) & waiting[caller]]
        if len(victims) and scores[victims].max() > scores[row]:
            victim = victims[scores[victims].argmax()]
            scores[[row, victim]] = scores[[victim, row]]
    return scores


def put_silenced_first(scores: Scores, graph: Graph, incident: Incident) -> Scores:
    """Puts a service that has stopped reporting anything before its callers in trouble: it is gone: (S,).

    Metrics of requests alone do not tell: they also end if nobody calls. Nor does a metric that ends for most
    services, because its source does, nor a replaced replica.
    """
    own = graph.x[:, _ITSELF] >= _MOST_MISSING
    if not own.any():
        return scores
    ended = graph.x[:, _ENDED] >= _MOST_MISSING
    of_few = 2 * own.sum(axis=0) <= ((graph.x[:, _HAVING] > 0) | own).sum(axis=0)
    quiet = ((graph.x[:, _REPORTS] == 0) | ended).all(axis=1)
    silenced = quiet & (own & of_few).any(axis=1)
    reporting = {incident.owners.get(name) for name in np.array(incident.services)[~silenced].tolist()}
    caller, callee = graph.edge_index
    troubled = in_trouble(graph)[caller]
    scores = scores.copy()
    for row in np.flatnonzero(silenced).tolist():
        owner = incident.owners.get(incident.services[row])
        victims = caller[troubled & (callee == row)]
        if len(victims) and scores[victims].max() > scores[row] and (owner is None or owner not in reporting):
            victim = victims[scores[victims].argmax()]
            scores[[row, victim]] = scores[[victim, row]]
    return scores


def _behind_failing(graph: Graph, unknown: Bools) -> Bools:
    """Which services may make another fail most of its requests; all, if none does so: (S,)."""
    fails = graph.x[:, _ERROR_LEVEL] >= _MOSTLY
    if not fails.any():
        return np.ones(len(unknown), dtype=bool)
    caller, callee = graph.edge_index
    reached, asked = np.zeros(len(unknown), dtype=bool), fails
    while asked.any():  # what a failing service calls, and on through services that say nothing
        found = np.zeros_like(reached)
        found[callee[asked[caller]]] = True
        found &= ~reached
        reached |= found
        asked = found & unknown
    return reached


def down_bonus(incident: Incident, channel_map: ChannelMap) -> Scores:
    """A bonus for the scores of services that an alert reports as down: (S,)."""
    down = {
        alert.service
        for alert in incident.alerts
        if alert.kind == "metric"
        and incident.routine.get(alert, 0.0) < _EVEN
        and (meaning := channel_map(alert.name)) is not None
        and meaning.weight > 1.0
        and alert.direction != meaning.good_direction
    }
    return np.array([_DOWN * (name in down) for name in incident.services], dtype=np.float32)


def verdict_on(
    graph: Graph, chance: float | None, first: int, probability: Sequence[float], unsure_below: float
) -> tuple[Verdict, str]:
    """Whether a culprit is named, and a short reason if nobody is to blame or nothing is known.

    Args:
        chance: of an incident; None if nothing is measured.
        first: row of the first suspect.
        probability: of the suspects, best first, at least one.
    """
    if chance is None:
        return "unsure", "nothing is measured here, and nothing raised an alert"
    mode = MODES[graph.mode]
    trouble = in_trouble(graph)
    if mode == "baselined" and (not trouble.any() or (chance < _UNLIKELY and _is_calm(graph))):
        return "nobody", "nothing here deviates from its past"
    if not trouble.any() and chance < _UNLIKELY:
        return "nobody", f"nothing here {'stands out' if mode == 'snapshot' else 'is unusual'}"
    tied = len(probability) > 1 and probability[1] >= _TIED * probability[0]
    doubtful = chance < _EVEN and not trouble[first]
    return ("unsure" if tied or doubtful or probability[0] < unsure_below else "culprit"), ""


def _is_calm(graph: Graph) -> bool:
    """Whether deviations are small, nothing fails or is missing, and users notice nothing."""
    asked = np.ones(len(graph.x), dtype=bool)
    asked[graph.edge_index[1]] = False
    felt = graph.x[asked][:, _FELT] > ABNORMAL
    little = graph.x[:, MEASURES["baselined"][0]] < _LITTLE
    fails = graph.x[:, _FAILS] > ABNORMAL
    gone, paged = graph.x[:, GONE] > 0, graph.x[:, IS_PAGE] > 0
    return bool(little.all()) and not (
        felt.any() or fails.any() or gone.any() or paged.any() or alerted(graph).any()
    )


def _only_waits(graph: Graph) -> Bools:
    """Which services work as fast as usual themselves, and fail only because their calls fail: (S,)."""
    if MODES[graph.mode] != "baselined":
        return np.zeros(len(graph.x), dtype=bool)
    own, restarts, fails, calls_fail = (graph.x[:, column] > ABNORMAL for column in _OWN)
    return np.asarray((graph.x[:, _OWN_HAS] > 0) & ~own & ~restarts & (~fails | calls_fail))


def _bad_calls(graph: Graph) -> Bools:
    """Which calls are slow, failing or missing: (E,)."""
    least = 0.0 if MODES[graph.mode] == "alerts" else ABNORMAL
    return np.asarray(graph.edge_attr[:, 1:].max(axis=1, initial=0.0) > least)
