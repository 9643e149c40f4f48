"""The traversal rule of the PetShop benchmark (Hardt et al., CLeaR 2024), with MAD scores.

Start at the paging service, follow calls through services that are abnormal in the metric that paged, and
blame the last one, without abnormal callees. MicroHECL (Liu et al., ICSE-SEIP 2021) walks in the same way.
"""

from collections.abc import Collection, Mapping

import networkx as nx
import numpy as np

from data.arrays import Floats
from data.channels import Channel, ChannelMap
from data.incident import Incident
from gnn.baselines.deviation import alert_counts, center_and_mad, point_deviations, present
from gnn.features.drift import paged_channels

THRESHOLD = 5.0  # MADs above which a service is abnormal
MIN_PAST = 10  # points that a MAD needs
_DUST = 1e-9  # relative rounding error


def traversal_scores(incident: Incident, channel_map: ChannelMap) -> dict[str, float]:
    """The summed deviations along the path to each service that ends an abnormal path; others get no score.

    Deviations are of the kind of metric that paged, at the paging service's worst point, in plain MADs if
    there are ten baseline points, as published; any increase over a constant baseline is abnormal. With a
    shorter baseline, or without a page (which the source doesn't cover), the spread is at least 5 % of the
    typical value. Without a page, paths start at abnormal services that no abnormal service calls; latency
    and errors count together, at the worst point of all services. Any alert makes a service abnormal.
    """
    deviation = _at_worst_point(incident, channel_map)
    for service, n_alerts in alert_counts(incident).items():
        deviation[service] += n_alerts * 2 * THRESHOLD
    abnormal = {service for service, value in deviation.items() if value > THRESHOLD}
    page = incident.page.service if incident.page and incident.page.service in deviation else None
    walkable = abnormal | {page} if page else abnormal
    calls = nx.DiGraph()
    calls.add_nodes_from(service for service in incident.services if service in walkable)
    for caller in list(calls):
        callees = incident.call_graph.get(caller, ())
        calls.add_edges_from((caller, c) for c in callees if c in abnormal and c != caller)
    return _path_sums(calls, {page} if page else _entries(calls), deviation)


def _entries(calls: nx.DiGraph) -> set[str]:
    """The services without callers outside of their own cycle."""
    knots = nx.condensation(calls)
    return {member for knot in knots if not knots.in_degree(knot) for member in knots.nodes[knot]["members"]}


def _at_worst_point(incident: Incident, channel_map: ChannelMap) -> dict[str, float]:
    """Each service's mean deviation, over metrics of the kind that paged, at the incident's worst point."""
    channels = paged_channels(incident.page)
    found = point_deviations(incident, channels, channel_map)
    if incident.page and incident.page.service in found:
        for service, metrics in _in_mads(incident, channels, channel_map).items():
            found[service].update(metrics)
    length = max((points.size for metrics in found.values() for points in metrics.values()), default=1)
    mean = {
        service: np.mean([_placed(points, length) for points in metrics.values()], axis=0)
        for service, metrics in found.items()
        if metrics
    }
    page = incident.page.service if incident.page else None
    watched = mean[page] if page in mean else np.sum([np.zeros(length), *mean.values()], axis=0)
    worst = int(np.argmax(watched))
    return {service: float(mean[service][worst]) if service in mean else 0.0 for service in incident.services}


def _in_mads(
    incident: Incident, channels: Collection[Channel], channel_map: ChannelMap
) -> dict[str, dict[str, Floats]]:
    """Deviations in plain MADs, {service: {metric: (T,)}}, of metrics with a long enough baseline."""
    found: dict[str, dict[str, Floats]] = {service: {} for service in incident.services}
    for service in incident.services:
        for metric, series in incident.telemetry.get(service, {}).items():
            meaning, past = channel_map(metric), present(series.baseline)
            measured = past.size >= MIN_PAST and present(series.incident).size
            if meaning is None or meaning.channel not in channels or not measured:
                continue
            center, spread = center_and_mad(past)
            worse = (series.incident - center) * (-1.0 if meaning.inverted else 1.0)
            dust = _DUST * abs(center)
            constant = np.where(worse > dust, 2 * THRESHOLD, 0.0)
            found[service][metric] = worse / spread if spread > dust else constant
    return found


def _placed(points: Floats, length: int) -> Floats:
    """`points` padded with 0 to `length`, aligned at their start; a single point is the latest."""
    missing = length - points.size
    return np.pad(np.nan_to_num(points), (missing, 0) if points.size == 1 else (0, missing))


def _path_sums(calls: nx.DiGraph, starts: set[str], deviation: Mapping[str, float]) -> dict[str, float]:
    """The best sum of deviations along a path from `starts` to each service where a path ends.

    A cycle is contracted to a knot: a path through it passes all of its services, and may end at any.
    """
    knots = nx.condensation(calls)
    before: dict[int, float] = {}  # the best sum of a path up to the knot; only knots that a path reaches
    ends: dict[str, float] = {}
    for knot in nx.topological_sort(knots):
        members = knots.nodes[knot]["members"]
        if members & starts:
            before.setdefault(knot, 0.0)
        if knot not in before:
            continue
        total = before[knot] + sum(deviation[member] for member in members)
        for successor in knots.successors(knot):
            before[successor] = max(before.get(successor, 0.0), total)
        if not knots.out_degree(knot):
            ends.update({member: before[knot] + deviation[member] for member in members})
    return ends
