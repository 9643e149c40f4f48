"""What the call graph says about each service: degrees, distance to the page, and classical graph scores.

Shapes: S services, E calls.
"""

from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from data.arrays import Bools, Floats, Ints
from data.incident import Incident

if TYPE_CHECKING:
    from scipy import sparse


_RESTART = 0.15  # personalised PageRank: chance to jump back to an anomalous service
_PAGERANK_STEPS = 15
_TRAVERSAL_THRESHOLD = float(np.arcsinh(5.0))  # services less abnormal than this end a path
_TRAVERSAL_DEPTH = 12
_LOUDER = 2.0  # an address that deviates this many times more than a service is hardly its echo
_ECHO_LEAST = float(np.arcsinh(2.0))  # smallest deviation that can be an echo


class Calls(NamedTuple):
    """The call graph as arrays, without self-calls and duplicates."""

    edge_index: Ints  # (2, E): caller, callee
    services: int

    def to_matrix(self) -> "sparse.csr_matrix":
        """(S, S), 1 where the row calls the column."""
        from scipy import sparse

        caller, callee = self.edge_index
        shape = (self.services, self.services)
        return sparse.csr_matrix((np.ones(len(caller)), (caller, callee)), shape=shape)


def calls_of(incident: Incident, index: dict[str, int]) -> Calls:
    """The calls between the incident's services."""
    known = [(index[caller], callees) for caller, callees in incident.call_graph.items() if caller in index]
    sizes = [len(callees) for _, callees in known]
    caller = np.repeat(np.array([row for row, _ in known], dtype=np.int64), sizes)
    names = chain.from_iterable(callees for _, callees in known)
    callee = np.fromiter(map(index.get, names, repeat(-1)), dtype=np.int64, count=sum(sizes))
    pairs = (caller * len(index) + callee)[(callee >= 0) & (callee != caller)]
    pairs.sort()
    distinct = pairs[1:] != pairs[:-1]
    pairs = pairs[np.concatenate([pairs[:1] >= 0, distinct])]
    return Calls(np.stack(np.divmod(pairs, max(len(index), 1))), len(index))


def structure(
    calls: Calls, anomaly: Floats, paged: Floats, page: int | None, echo: Floats, echoed: Floats
) -> Floats:
    """The first 15 graph columns of `gnn.features.featurize`: (S, 15).

    Args:
        calls: the call graph.
        anomaly: (S,) how abnormal each service is.
        paged: (S,) the same, on the kind of metric that paged.
        page: row of the paging service.
        echo, echoed: (S,) how surely each is an address, or is behind one.
    """
    services = calls.services
    caller, callee = calls.edge_index
    n_callers = np.bincount(callee, minlength=services).astype(float)
    n_callees = np.bincount(caller, minlength=services).astype(float)
    worst_callee, worst_caller = np.zeros(services), np.zeros(services)
    np.maximum.at(worst_callee, caller, anomaly[callee])
    np.maximum.at(worst_caller, callee, anomaly[caller])
    near = np.zeros(services)
    is_page = np.zeros(services)
    if page is not None:
        is_page[page] = 1.0
        near = 1.0 / (1.0 + _distances(calls, page))
    traversal = traverse(calls, paged, page)
    rank = personalised_pagerank(calls, anomaly)
    columns = np.array(
        [
            np.log1p(n_callers), np.log1p(n_callees), n_callers == 0, n_callees == 0, is_page, near,
            traversal, traversal - traversal.max(initial=0.0), rank, rank - rank.max(initial=0.0),
            worst_callee, worst_caller, anomaly - worst_callee, echo, echoed,
        ]
    )  # fmt: skip
    return columns.T


def echoes(calls: Calls, felt: Floats, known_inside: Bools) -> list[tuple[int, int, float]]:
    """Addresses, the services behind them, and how similarly the two deviate (a cosine).

    Some sources list a remote host as a service: it has one caller, no callees and no resource metrics, and
    deviates in step with the real service, another callee of the same caller.

    Args:
        calls: the call graph.
        felt: (S, N) deviations that callers notice, over time.
        known_inside: (S,) resources or logs are measured.
    """
    caller, callee = calls.edge_index
    n_callers = np.bincount(callee, minlength=calls.services)
    n_callees = np.bincount(caller, minlength=calls.services)
    norm = np.sqrt((felt**2).sum(axis=1))
    lonely = (n_callers == 1) & (n_callees == 0) & ~known_inside
    moved = norm > _ECHO_LEAST
    found = []
    for place in np.flatnonzero((lonely & moved)[callee]).tolist():
        address = int(callee[place])
        first, last = (int(np.searchsorted(caller, caller[place], side)) for side in ("left", "right"))
        siblings = callee[first:last]
        siblings = siblings[moved[siblings] & ~lonely[siblings]]
        if len(siblings):
            alike = felt[siblings] @ felt[address] / (norm[siblings] * norm[address])
            # What deviates much more than the service is not just its echo.
            alike[norm[address] > _LOUDER * norm[siblings]] *= 0.5
            best = int(alike.argmax())
            found.append((address, int(siblings[best]), float(alike[best])))
    return found


def personalised_pagerank(calls: Calls, anomaly: Floats) -> Floats:
    """Random walk from callers to callees that restarts at abnormal services; mean 1: (S,).

    As in MonitorRank (Kim et al., SIGMETRICS 2013), but the walk may also stay, weighted by anomaly.
    """
    services = calls.services
    if not services:
        return np.zeros(0)
    weight = anomaly + 0.01
    preference = weight / weight.sum()
    caller, callee = calls.edge_index
    leaving = weight + np.bincount(caller, weight[callee], services)
    goes_on = (1 - _RESTART) / leaving
    stays, goes = weight * goes_on, weight[callee] * goes_on[caller]
    rank, restarts = preference, _RESTART * preference
    for _ in range(_PAGERANK_STEPS):
        rank = restarts + stays * rank + np.bincount(callee, goes * rank[caller], services)
    return np.asarray(rank * services)


def traverse(calls: Calls, anomaly: Floats, page: int | None) -> Floats:
    """Summed anomaly along the best path of abnormal services that ends at each service: (S,).

    The PetShop benchmark's rule (Hardt et al., CLeaR 2024): start at the paging service and follow abnormal
    callees; one without abnormal callees is a candidate. Without a page, paths start at abnormal services
    without abnormal callers, so a cycle that nobody else calls scores nothing.
    """
    abnormal = anomaly > _TRAVERSAL_THRESHOLD
    best = np.zeros(calls.services)
    caller, callee = calls.edge_index
    inner = abnormal[callee] & abnormal[caller]
    if page is not None:
        inner |= abnormal[callee] & (caller == page)
        best[page] = max(anomaly[page], 1e-3)
    else:
        start = abnormal.copy()
        start[callee[inner]] = False
        best[start] = anomaly[start]
    caller, callee = caller[inner], callee[inner]
    for _ in range(_TRAVERSAL_DEPTH):
        reached = best[caller] > 0
        longer = best.copy()
        np.maximum.at(longer, callee[reached], best[caller[reached]] + anomaly[callee[reached]])
        # The depth limit keeps sums on a cycle from growing for ever.
        if np.array_equal(longer, best):
            break
        best = longer
    best[caller[best[callee] > 0]] *= 0.25  # not the end of its path
    return np.asarray(best / (1.0 + best.max(initial=0.0)))


def _distances(calls: Calls, page: int) -> Floats:
    """Hops along calls from the paging service, infinite if unreachable: (S,)."""
    from scipy.sparse import csgraph  # imported here: slow to load, and most incidents have no page

    return np.asarray(csgraph.dijkstra(calls.to_matrix(), indices=page, unweighted=True, directed=True))
