"""BARO's RobustScorer: the largest rise of a metric over its median, in interquartile ranges.

Pham, Ha and Zhang, "BARO: Robust Root Cause Analysis for Microservices", FSE 2024. Only BARO's ranking is
used, not its change point detection: the start of the incident is given.
"""

import numpy as np

from data.channels import ChannelMap
from data.incident import Incident
from gnn.baselines.deviation import MIN_BASELINE, alert_counts, present


def baro_scores(incident: Incident, channel_map: ChannelMap) -> dict[str, float]:
    """The largest rise of each service's metrics, as published: signed, in raw units if the IQR is 0.

    Without a baseline, the metric's latest points at all services replace it. Each alert adds one.
    """
    peers: dict[str, list[float]] = {}
    for metrics in incident.telemetry.values():
        for metric, series in metrics.items():
            peers.setdefault(metric, []).extend(present(series.incident)[-1:])
    scores: dict[str, float] = {}
    for service, n_alerts in alert_counts(incident).items():
        rises = [0.0]
        for metric, series in incident.telemetry.get(service, {}).items():
            past, points = present(series.baseline), present(series.incident)
            if channel_map(metric) is None or not points.size:
                continue
            if past.size < MIN_BASELINE:
                past, points = np.array(peers[metric]), points[-1:]
            low, center, high = np.percentile(past, (25, 50, 75))
            rises.append(float((points.max() - center) / ((high - low) or 1.0)))
        scores[service] = max(rises) + n_alerts
    return scores
