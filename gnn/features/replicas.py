"""Finds replicas: services that do the same work side by side.

A fault often strikes one replica, while the symptoms of a fault elsewhere show at all of them. Replicas are
known by their owner, else by the pattern of their names, else by their neighbours in the call graph.

Shapes: S services, E calls, N anything.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from data.arrays import Bools, Floats, Ints
from gnn.features.topology import Calls

if TYPE_CHECKING:
    from scipy import sparse


_LEAST = 0.4  # share of neighbours that replicas must have in common
_HUB = 64  # a neighbour of more services than this says nothing
_TIED = 1e-9
_MOST = 0.5  # if more names than this share differ by a number only, all services are just numbered
# The part of a name that differs between replicas: a pod's hashes, a zone, a number.
_INSTANCE = re.compile(
    r"-(?=[a-z]*\d)[0-9a-z]{5,10}-[0-9a-z]{5}$"
    r"|[-_.](?:az|zone)[-_.]?[0-9a-z]$"
    r"|[-_.][a-z]{2}-[a-z]+-\d[a-z]?$"
    r"|[-_.]?\d+$"
)


class Replicas:
    """Who is a replica of whom.

    Args:
        group: (S,) replicas have the same number; -1 where the owner and the name don't tell.
        weight: (S, S) for replicas found by calls: each row sums to 1, or to 0 without any; None: no such.
        alike: (S,) similarity of each service to its replicas, 0..1; 0 without any.
    """

    def __init__(self, group: Ints, weight: "sparse.csr_matrix | None", alike: Floats) -> None:
        self._group, self._weight = group, weight
        self.alike = alike
        self._grouped = np.flatnonzero(group >= 0)

    def of(self, service: int) -> list[int]:
        """The replicas of a service, by row."""
        if self._group[service] >= 0:
            others: list[int] = np.flatnonzero(self._group == self._group[service]).tolist()
            return [row for row in others if row != service]
        if self._weight is None:
            return []
        start, end = self._weight.indptr[service : service + 2]
        return sorted(self._weight.indices[start:end].tolist())

    def lead(self, values: Floats) -> Floats:
        """Each service's values minus the mean of its replicas, weighted by similarity: (S, N)."""
        lead = np.zeros_like(values)
        if self._weight is not None:
            lead = np.asarray((values - self._weight @ values) * self.alike[:, None])
        if len(self._grouped):
            group, own = self._group[self._grouped], values[self._grouped]
            total = np.zeros((int(group.max()) + 1, values.shape[1]))
            np.add.at(total, group, own)
            others = np.bincount(group)[group, None] - 1.0
            lead[self._grouped] = own - (total[group] - own) / others
        return lead


def replicas(calls: Calls, names: Sequence[str], owners: Mapping[str, str], ask_calls: bool) -> Replicas:
    """Finds the replicas among services.

    Args:
        calls: the call graph.
        names: (S,)
        owners: the workload of each service, where known.
        ask_calls: compare the rest by their calls.
    """
    group = _groups(names, owners)
    alike = (group >= 0).astype(float)
    if not ask_calls or not calls.edge_index.size or (group >= 0).all():
        return Replicas(group, None, alike)
    weight, by_calls = _by_calls(calls, group < 0)
    return Replicas(group, weight, np.where(group >= 0, alike, by_calls))


def workload_of(name: str) -> str:
    """The name without the part that differs between replicas."""
    return _INSTANCE.sub("", name) or name


def _groups(names: Sequence[str], owners: Mapping[str, str]) -> Ints:
    """A number per workload, -1 for services without replicas: (S,)."""
    stems = [workload_of(name) for name in names]
    count: dict[str, int] = {}
    for stem in stems:
        count[stem] = count.get(stem, 0) + 1
    told = max(count.values(), default=0) <= max(_MOST * len(names), 2)
    keys = [
        ("owner", owners[name]) if name in owners else ("name", stem if told else name)
        for name, stem in zip(names, stems, strict=True)
    ]
    numbers: dict[tuple[str, str], int] = {}
    group = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    return np.where(np.bincount(group, minlength=1)[group] > 1, group, -1) if len(group) else group


def _by_calls(calls: Calls, asked: Bools) -> tuple["sparse.csr_matrix | None", Floats]:
    """The services with the most similar neighbours, by Jaccard index, and that similarity.

    Callers and callees count separately; calls between the two don't count. A hub never counts as shared.
    Several equally similar services are all replicas.
    """
    from scipy import sparse  # imported here: slow to load, and needed for lists of alerts only

    out = calls.to_matrix()
    near = sparse.hstack([out, out.T], format="csr")  # (S, 2·S): callees, callers
    of = np.asarray(near.sum(axis=1)).ravel()  # (S,)
    few = np.asarray(near.sum(axis=0)).ravel() <= _HUB
    common = near[:, few]  # (S, ·)
    shared = (common @ common.T).tocoo()  # (S, S)
    apart = (shared.row != shared.col) & asked[shared.row] & asked[shared.col]
    row, column, both = shared.row[apart], shared.col[apart], shared.data[apart]
    between = np.asarray((out + out.T).tocsr()[row, column]).ravel() if len(row) else both
    alike = both / (of[row] + of[column] - 2.0 * between - both)
    best = np.zeros(calls.services)
    np.maximum.at(best, row, alike)
    chosen = (alike >= best[row] - _TIED) & (alike >= _LEAST)
    if not chosen.any():
        return None, np.zeros(calls.services)
    row, column = row[chosen], column[chosen]
    count = np.bincount(row, minlength=calls.services)
    weight = sparse.csr_matrix((1.0 / count[row], (row, column)), shape=out.shape)
    return weight, np.where(count > 0, best, 0.0)
