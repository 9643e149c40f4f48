"""Whether anybody is named: who cannot be accused, and when nothing speaks against anyone.

Shapes: S services, E calls, C channels, K statistics.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.channels import Channel, ChannelMap
from data.incident import Incident
from gnn.features.deviation import ABNORMAL
from gnn.features.drift import LATENCY
from gnn.features.featurize import IS_PAGE, MODES, N_ALERTS, SERVICE_FEATURES, Graph
from gnn.features.trouble import GONE, MEASURES, alerted, columns_of, in_trouble
from gnn.ranker import Verdict

Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]

_FELT = columns_of("beyond", (Channel.ERROR, *LATENCY))
_OWN = columns_of("beyond", (Channel.OWN_LATENCY, Channel.RESTARTS, Channel.ERROR, Channel.CLIENT_ERROR))
_OWN_HAS = SERVICE_FEATURES.index(f"{Channel.OWN_LATENCY}.has")
_FAILS = columns_of("beyond", (Channel.ERROR, Channel.RESTARTS))
_HAS = [i for i, name in enumerate(SERVICE_FEATURES) if name == "alerts" or name.endswith(".has")]
_NEVER = np.float32(10.0)  # taken off the score of who cannot be accused
_DOWN = 2.0  # added to the score of who is down: no alert says more
_MOST = 100  # services without telemetry that are compared
_EVEN = 0.5  # chance of an incident below which it is unlikely
_UNLIKELY = 0.2  # from here down little counts for nothing
_LITTLE = float(np.arcsinh(8.0))  # robust sigmas, as asinh
_TIED = 0.8  # of the first suspect's probability: from here on a second one is as likely


def is_measured(graph: Graph) -> Mask:
    """Of which services anything is known, by telemetry or by alerts: (S,)."""
    return np.asarray(graph.x[:, _HAS].any(axis=1))


def judged(scores: Scores, graph: Graph, incident: Incident) -> Scores:
    """The scores, with what no network needs to learn of services that tell nothing of themselves: (S,).

    One whose callers are well is not accused. Of two the one comes first that explains all the trouble which
    the other explains, and more, unless more of its callers are well. One also comes before a caller whose
    calls to it are bad and that takes no longer itself.
    """
    unknown = ~is_measured(graph)
    if MODES[graph.mode] == "snapshot":  # whether a caller is well shows only beside its past
        return scores
    if incident.call_telemetry:  # what callers measure of a service counts as measured there
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


def told_down(incident: Incident, channel_map: ChannelMap) -> Scores:
    """What is added to the scores of services that an alert calls down, and to an incident's: (S,)."""
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
    """Who is named, and in a few words why nobody is.

    Args:
        graph: what is known.
        chance: of an incident; None where nothing is known.
        first: row of the first suspect.
        probability: of the suspects, best first, at least one.
        unsure_below: probability of the first from which it is named.
    """
    if chance is None:
        return "nobody", "nothing is measured here, and nothing raised an alert"
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
    """Whether little deviates, nothing fails or is missing, and users feel nothing."""
    asked = np.ones(len(graph.x), dtype=bool)
    asked[graph.edge_index[1]] = False
    felt = graph.x[asked][:, _FELT] > ABNORMAL
    little = graph.x[:, MEASURES["baselined"][0]] < _LITTLE
    fails = graph.x[:, _FAILS] > ABNORMAL
    gone, paged = graph.x[:, GONE] > 0, graph.x[:, IS_PAGE] > 0
    return bool(little.all()) and not (
        felt.any() or fails.any() or gone.any() or paged.any() or alerted(graph).any()
    )


def _only_waits(graph: Graph) -> Mask:
    """Which services take no longer themselves, and fail only where their own calls do: (S,)."""
    if MODES[graph.mode] != "baselined":
        return np.zeros(len(graph.x), dtype=bool)
    own, restarts, fails, calls_fail = (graph.x[:, column] > ABNORMAL for column in _OWN)
    return np.asarray((graph.x[:, _OWN_HAS] > 0) & ~own & ~restarts & (~fails | calls_fail))


def _bad_calls(graph: Graph) -> Mask:
    """Which calls are slow, failing or missing: (E,)."""
    least = 0.0 if MODES[graph.mode] == "alerts" else ABNORMAL
    return np.asarray(graph.edge_attr[:, 1:].max(axis=1, initial=0.0) > least)
