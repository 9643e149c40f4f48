"""How abnormal each metric of each service is, as the simple published rankers measure it."""

from collections.abc import Collection, Mapping

import numpy as np

from data.arrays import Floats
from data.channels import Channel, ChannelMap, default_channel_map
from data.incident import Incident, Series
from gnn.features.nan_statistics import MAD_TO_SIGMA

MIN_BASELINE = 3  # points that a baseline needs
MIN_PEERS = 3  # services that a comparison with peers needs

_FLOOR = 0.05  # smallest spread, as a share of the metric's typical value


def point_deviations(
    incident: Incident,
    channels: Collection[Channel] = tuple(Channel),
    channel_map: ChannelMap | None = None,
) -> dict[str, dict[str, Floats]]:
    """Deviations of the metrics of `channels`: {service: {metric: (T,)}}, with every service as a key.

    With a baseline, the deviation at each point is its distance from the baseline's median in MADs (robust
    z-score: Iglewicz and Hoaglin, 1993), positive in the bad direction. Without one, it is the latest point's
    distance from the median of all services, T = 1. Metrics that cannot be compared are left out.
    """
    means = channel_map or default_channel_map()
    by_metric: dict[str, dict[str, Series]] = {}
    sign: dict[str, float] = {}
    for service in incident.services:
        for metric, series in incident.telemetry.get(service, {}).items():
            meaning = means(metric)
            if meaning is not None and meaning.channel in channels:
                by_metric.setdefault(metric, {})[service] = series
                sign[metric] = -1.0 if meaning.inverted else 1.0
    found: dict[str, dict[str, Floats]] = {service: {} for service in incident.services}
    for metric, columns in by_metric.items():
        for service, points in {**_among_peers(columns), **_from_past(columns)}.items():
            found[service][metric] = sign[metric] * points
    return found


def metric_deviations(
    incident: Incident, channel_map: ChannelMap | None = None
) -> dict[str, dict[str, float]]:
    """The size of each deviation: {service: {metric: deviation ≥ 0}}.

    It is the median over the incident's points, so that no single outlier decides.
    """
    return {
        service: {metric: float(np.nanmedian(np.abs(points))) for metric, points in metrics.items()}
        for service, metrics in point_deviations(incident, channel_map=channel_map).items()
    }


def alert_counts(incident: Incident) -> dict[str, int]:
    """The number of alerts of each service; alerts of others, such as hosts, don't count."""
    counts = dict.fromkeys(incident.services, 0)
    for alert in incident.alerts:
        if alert.service in counts:
            counts[alert.service] += 1
    return counts


def present(points: Floats) -> Floats:
    """The known points."""
    return points[np.isfinite(points)]


def center_and_mad(points: Floats) -> tuple[float, float]:
    """The median, and the MAD scaled to a standard deviation, of points without gaps."""
    center = float(np.median(points))
    return center, MAD_TO_SIGMA * float(np.median(np.abs(points - center)))


def _from_past(columns: Mapping[str, Series]) -> dict[str, Floats]:
    pasts = {service: present(series.baseline) for service, series in columns.items()}
    usual = {service: center_and_mad(past) for service, past in pasts.items() if past.size >= MIN_BASELINE}
    if not usual:
        return {}
    typical = float(np.median([abs(center) for center, _ in usual.values()]))
    found = {}
    for service, (center, spread) in usual.items():
        points = columns[service].incident
        if present(points).size:
            scale = max(spread, _FLOOR * abs(center), _FLOOR * typical)
            found[service] = _in_units_of(scale, points - center)
    return found


def _among_peers(columns: Mapping[str, Series]) -> dict[str, Floats]:
    latest = {
        service: points[-1]
        for service, series in columns.items()
        if present(series.baseline).size < MIN_BASELINE and (points := present(series.incident)).size
    }
    if len(latest) < MIN_PEERS:
        return {}
    values = np.array(list(latest.values()))
    center, spread = center_and_mad(values)
    distances = _in_units_of(max(spread, _FLOOR * abs(center)), values - center)
    return {service: distances[[index]] for index, service in enumerate(latest)}


def _in_units_of(scale: float, distances: Floats) -> Floats:
    """`distances` divided by `scale`, or by the largest of them if `scale` is zero."""
    return distances / (scale or np.nanmax(np.abs(distances)) or 1.0)
