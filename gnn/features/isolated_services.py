"""Keeps healthy services without any calls from influencing how the others are ranked.

Only with baselines: without them, services can be compared with one another only, so all are needed.

Shapes: S services, C channels, K statistics.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from data.arrays import Bools
from data.incident import Incident
from gnn.features.deviation import ABNORMAL, STATISTICS
from gnn.features.featurize import CHANNEL_BLOCK, IS_PAGE, MODES, N_ALERTS, Graph

Scores = npt.NDArray[np.float32]

_UP, _DOWN, _GONE = (STATISTICS.index(name) for name in ("up", "down", "gone"))


def isolated_services(graph: Graph) -> Bools:
    """Which services are healthy and have no calls, while others have some: (S,)."""
    services = len(graph.x)
    alone = np.ones(services, dtype=bool)
    alone[graph.edge_index.ravel()] = False
    if MODES[graph.mode] != "baselined" or alone.all() or not alone.any():
        return np.zeros(services, dtype=bool)
    block = graph.x[:, : CHANNEL_BLOCK[0] * CHANNEL_BLOCK[1]].reshape(services, *CHANNEL_BLOCK)
    moved = np.maximum(block[..., _UP], block[..., _DOWN]).max(axis=1)
    well = (moved < ABNORMAL) & ~(block[..., _GONE] > 0).any(axis=1) & (graph.x[:, N_ALERTS] == 0)
    return np.asarray(alone & well & (graph.x[:, IS_PAGE] == 0))


def without_services(incident: Incident, gone: Bools) -> Incident:
    """The incident without these services."""
    names = {name for name, leaves in zip(incident.services, gone.tolist(), strict=True) if leaves}
    return replace(
        incident,
        services=tuple(name for name in incident.services if name not in names),
        call_graph={
            caller: callees for caller, callees in incident.call_graph.items() if caller not in names
        },
        telemetry={name: metrics for name, metrics in incident.telemetry.items() if name not in names},
    )


def merge_scores(among_all: Scores, apart: Scores, gone: Bools) -> Scores:
    """Puts the isolated services back, at the rank they had among all: (S,).

    Args:
        among_all: (S,) scores of all services.
        apart: (S - G,) scores of the others, computed without the isolated ones.
        gone: (S,) the G isolated services.
    """
    scores = among_all.copy()
    scores[~gone] = apart
    if not len(apart):
        return scores
    stay, fall = np.sort(among_all[~gone]), np.sort(apart)
    # An isolated service stays above exactly as many of the others as before.
    shift = np.concatenate([fall[:1] - stay[:1], fall - stay])
    below = np.searchsorted(stay, among_all[gone])
    low = np.concatenate([[-np.inf], fall])[below]
    high = np.concatenate([fall, [np.inf]])[below]
    scores[gone] = np.clip(among_all[gone] + shift[below], low, high)
    return scores
