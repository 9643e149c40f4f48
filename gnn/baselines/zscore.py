"""Ranks services by how far their metrics deviate: the largest robust z-score, or the sum of all.

The usual floor in comparisons of root-cause rankers, such as the "largest z-score" of Nezha (Yu et al., FSE
2023) and the univariate outlier scores of PyRCA (Liu et al., 2023).
"""

import numpy as np

from data.channels import ChannelMap
from data.incident import Incident
from gnn.baselines.deviation import alert_counts, metric_deviations


def largest_zscores(incident: Incident, channel_map: ChannelMap) -> dict[str, float]:
    """The largest deviation of each service; each alert adds one."""
    alerts = alert_counts(incident)
    found = metric_deviations(incident, channel_map).items()
    return {service: max(own.values(), default=0.0) + alerts[service] for service, own in found}


def summed_zscores(incident: Incident, channel_map: ChannelMap) -> dict[str, float]:
    """The sum of asinh over all deviations, so that many moderate ones can outweigh a single extreme one."""
    alerts = alert_counts(incident)
    found = metric_deviations(incident, channel_map).items()
    return {service: float(np.arcsinh(list(own.values())).sum()) + alerts[service] for service, own in found}
