"""Services that stand in the same place of the call graph: replicas of one another, most often.

A fault strikes one replica, while what its victims suffer all replicas suffer. No name is read: twins are
found by who calls them and whom they call. Shapes: S services, E calls, N anything.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from gnn.features.topology import Calls

if TYPE_CHECKING:
    from scipy import sparse

Floats = npt.NDArray[np.float64]

_LEAST = 0.4  # share of their neighbours that twins have in common
_HUB = 64  # a neighbour of more services than this makes no two of them twins
_TIED = 1e-9


class Twins(NamedTuple):
    """Who is whose twin."""

    weight: "sparse.csr_matrix | None"  # (S, S) rows of sum 1, or 0 without a twin; None: nobody has one
    alike: Floats  # (S,) share of neighbours in common, 0..1; 0 without a twin

    def of(self, service: int) -> list[int]:
        """The twins of a service, by row."""
        if self.weight is None:
            return []
        start, end = self.weight.indptr[service : service + 2]
        return sorted(self.weight.indices[start:end].tolist())

    def lead(self, values: Floats) -> Floats:
        """How much more each service has than its twins on average, as far as they are alike: (S, N)."""
        if self.weight is None:
            return np.zeros_like(values)
        return np.asarray((values - self.weight @ values) * self.alike[:, None])


def twins(calls: Calls) -> Twins:
    """The services whose neighbours are most like each service's own, by Jaccard's index.

    Callers and callees count apart, and calls between the two not at all. A neighbour that is a hub counts as
    one that the two do not share. Of several that are equally alike each is a twin.
    """
    nobody = Twins(None, np.zeros(calls.services))
    if not calls.edge_index.size:
        return nobody
    from scipy import sparse  # only lists of alerts ask, and it takes longer to load than others to rank

    out = calls.to_matrix()
    near = sparse.hstack([out, out.T], format="csr")  # (S, 2·S): whom it calls, who calls it
    of = np.asarray(near.sum(axis=1)).ravel()  # (S,)
    few = np.asarray(near.sum(axis=0)).ravel() <= _HUB
    common = near[:, few]  # (S, ·)
    shared = (common @ common.T).tocoo()  # (S, S)
    apart = shared.row != shared.col
    row, column, both = shared.row[apart], shared.col[apart], shared.data[apart]
    between = np.asarray((out + out.T).tocsr()[row, column]).ravel() if len(row) else both
    alike = both / (of[row] + of[column] - 2.0 * between - both)
    best = np.zeros(calls.services)
    np.maximum.at(best, row, alike)
    chosen = (alike >= best[row] - _TIED) & (alike >= _LEAST)
    if not chosen.any():
        return nobody
    row, column = row[chosen], column[chosen]
    count = np.bincount(row, minlength=calls.services)
    weight = sparse.csr_matrix((1.0 / count[row], (row, column)), shape=out.shape)
    return Twins(weight, np.where(count > 0, best, 0.0))
