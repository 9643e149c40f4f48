"""A made-up graph whose scores are kept with a checkpoint, to check that its network is the one saved."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic import FiniteFloat

from gnn.features.featurize import CALL_FEATURES, SERVICE_FEATURES, Graph
from gnn.network.heads import Scores

_CALLERS, _CALLEES = (0, 0, 1, 2, 3, 4), (1, 2, 3, 3, 4, 0)
_SERVICES, _CALLS = 5, len(_CALLERS)
# Rounding differs between processors and library versions.
_TOLERANCE = 2e-3
_DECIMALS = 5


# The scores of `probe_graph` from each head.
Probe = dict[str, list[FiniteFloat] | list[list[FiniteFloat]]]


def probe_of(said: Iterable[Any]) -> Probe:
    """The probe of a network with these scores, one array per head.

    Raises:
        ValueError: scores that are not finite.
    """
    rounded = Scores(*(np.asarray(part, dtype=np.float64).round(_DECIMALS) for part in said))
    if not all(np.isfinite(part).all() for part in rounded):
        raise ValueError("scores that are not finite numbers")
    return {name: part.tolist() for name, part in rounded._asdict().items()}


def agree(one: Probe, other: Probe) -> bool:
    """Whether both come from the same network."""
    try:
        pairs = [(np.array(one[name]), np.array(other[name])) for name in Scores._fields]
    except (KeyError, ValueError):  # a head is missing, or its rows are not equally long
        return False
    return all(a.shape == b.shape and np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE) for a, b in pairs)


def probe_graph() -> Graph:
    """Five services and six calls; all columns differ, and it is the same on every machine."""

    def waves(*shape: int) -> Any:
        return np.sin(1.0 + np.arange(np.prod(shape))).reshape(shape).astype(np.float32)

    return Graph(
        x=waves(_SERVICES, len(SERVICE_FEATURES)),
        mode=0,
        edge_index=np.array([_CALLERS, _CALLEES], dtype=np.int64),
        edge_attr=waves(_CALLS, len(CALL_FEATURES)),
    )
