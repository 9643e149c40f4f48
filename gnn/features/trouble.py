"""Which services show anything bad, root cause or not.

Shapes: S services, C channels, K statistics.
"""

from collections.abc import Sequence

import numpy as np

from data.arrays import Bools
from data.channels import Channel
from gnn.features.deviation import ABNORMAL, AGES
from gnn.features.featurize import IS_PAGE, MODES, N_ALERTS, SERVICE_FEATURES, Graph
from gnn.features.stack import CHANNELS

# More or less of these is neither good nor bad by itself.
_FLOW = frozenset({Channel.TRAFFIC, Channel.NETWORK_IN, Channel.NETWORK_OUT})
_TELLING = [channel for channel in CHANNELS if channel not in AGES | _FLOW]

_RAISED = float(np.log1p(0.75))  # most of one alert: routine ones count less


def columns_of(statistic: str, channels: Sequence[Channel] = _TELLING) -> list[int]:
    """The columns of one statistic; by default of the channels where a change can be bad."""
    return [SERVICE_FEATURES.index(f"{channel}.{statistic}") for channel in channels]


# The columns to look at in each mode, and the value from which a service is in trouble.
MEASURES = {
    "baselined": (columns_of("beyond"), ABNORMAL),
    "snapshot": (columns_of("peer"), 0.8),
    "alerts": (columns_of("up"), 0.1),
}
GONE = columns_of("gone")


def in_trouble(graph: Graph) -> Bools:
    """Which services show something bad: (S,)."""
    columns, least = MEASURES[MODES[graph.mode]]
    loud = graph.x[:, columns].max(axis=1) > least
    missed = (graph.x[:, GONE] > 0).any(axis=1)
    return np.asarray(loud | missed | alerted(graph) | (graph.x[:, IS_PAGE] > 0))


def alerted(graph: Graph) -> Bools:
    """Which services raise alerts, where most do not: (S,)."""
    alerted = graph.x[:, N_ALERTS] > _RAISED
    return np.asarray(alerted & (2 * alerted.sum() <= len(alerted)))
