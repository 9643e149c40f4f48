"""How abnormal each metric of each service is, the plain way that the simple published rankers measure it."""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from data.channels import Channel, ChannelMap, default_channel_map
from data.incident import Incident, Series
from gnn.features.nan_statistics import MAD_TO_SIGMA

Floats = npt.NDArray[np.float64]

MIN_BASELINE = 3  # points from which a healthy past means something
MIN_PEERS = 3  # services from which being different means something

_FLOOR = 0.05  # of what is typical for the metric: a smaller spread is taken for rounding


def point_deviations(
    incident: Incident,
    channels: Collection[Channel] = tuple(Channel),
    channel_map: ChannelMap | None = None,
) -> dict[str, dict[str, Floats]]:
    """Deviations of the metrics that feed `channels`, {service: {metric: (T,)}}, every service a key.

    A metric with a healthy past deviates, at each of the incident's points, by its distance from the
    baseline's median in MADs (robust z-score: Iglewicz and Hoaglin, 1993), positive in the bad direction. A
    metric without a past is compared with its peers: the latest point's distance from the median of all
    services, T = 1. What cannot be compared is left out.

    Args:
        incident: whose telemetry is measured.
        channels: those that are asked about.
        channel_map: how metric names are read; the default rules when None.
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
    """The size of each deviation, {service: {metric: deviation ≥ 0}}: its median over the incident's points.

    The median lets no single odd point decide.
    """
    return {
        service: {metric: float(np.nanmedian(np.abs(points))) for metric, points in metrics.items()}
        for service, metrics in point_deviations(incident, channel_map=channel_map).items()
    }


def alert_counts(incident: Incident) -> dict[str, int]:
    """Alerts of each service, every service a key; those of others, such as hosts, are not counted."""
    counts = dict.fromkeys(incident.services, 0)
    for alert in incident.alerts:
        if alert.service in counts:
            counts[alert.service] += 1
    return counts


def present(points: Floats) -> Floats:
    """The points that are not missing."""
    return points[np.isfinite(points)]


def center_and_mad(points: Floats) -> tuple[float, float]:
    """The median, and the median distance from it in units of a standard deviation; none may be missing."""
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
    """`distances` over `scale`; where nothing but zero is typical, over the largest of them."""
    return distances / (scale or np.nanmax(np.abs(distances)) or 1.0)
