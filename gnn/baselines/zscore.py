"""Ranks services by how far their metrics deviate: the largest robust z-score, or the sum of all.

The usual floor in comparisons of root-cause rankers, such as the "largest z-score" of Nezha (Yu et al., FSE
2023) and the univariate outlier scores of PyRCA (Liu et al., 2023).
"""

from typing import Literal

import numpy as np

from data.channels import ChannelMap, default_channel_map
from data.incident import Incident
from gnn.baselines.deviation import alert_counts, metric_deviations
from gnn.baselines.order import ranked
from gnn.ranker import Ranking


class ZScoreRanker:
    """Scores a service by its deviations; each alert adds one, so a list of alerts ranks by their number.

    Args:
        combine: "largest" takes the largest deviation; "sum" adds the asinh of all, so that many moderate
            deviations can outweigh a single extreme one.
        channel_map: how metric names are read; the default rules when None.
    """

    def __init__(
        self, combine: Literal["largest", "sum"] = "largest", channel_map: ChannelMap | None = None
    ) -> None:
        self._combine = combine
        self._channel_map = channel_map or default_channel_map()
        self.name = "zscore" if combine == "largest" else "zscore-sum"

    def rank(self, incident: Incident) -> Ranking:
        """Ranks all services; see `Ranker`."""
        alerts = alert_counts(incident)
        scores = {
            service: self._combined(list(metrics.values())) + alerts[service]
            for service, metrics in metric_deviations(incident, self._channel_map).items()
        }
        return ranked(scores, self.name)

    def _combined(self, values: list[float]) -> float:
        if self._combine == "largest":
            return max(values, default=0.0)
        return float(np.arcsinh(values).sum())
