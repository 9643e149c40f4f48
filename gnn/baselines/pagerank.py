"""Personalised PageRank on the call graph: MonitorRank (Kim, Sumbaly and Shah, SIGMETRICS 2013).

A random walk follows calls from caller to callee, with a preference for abnormal callees. It may go back to a
caller, to leave innocent branches, and stays where no neighbour is as abnormal. It restarts at abnormal
services.
"""

import networkx as nx
import numpy as np

from data.channels import ChannelMap
from data.incident import Incident
from gnn.baselines.deviation import alert_counts, metric_deviations

_RESTART = 0.15
_BACK = 0.1  # weight of going back to a caller, times the caller's anomaly
_NORMAL = 0.01  # weight of a normal service, so that the walk can pass it


def pagerank_scores(incident: Incident, channel_map: ChannelMap) -> dict[str, float]:
    """The share of time that the walk spends at each service."""
    alerts = alert_counts(incident)
    anomaly = {
        service: _NORMAL + float(np.arcsinh(max(metrics.values(), default=0.0))) + alerts[service]
        for service, metrics in metric_deviations(incident, channel_map).items()
    }
    calls = [
        (caller, callee)
        for caller in anomaly
        for callee in incident.call_graph.get(caller, ())
        if callee in anomaly and callee != caller
    ]
    walk = nx.DiGraph()
    walk.add_nodes_from(anomaly)
    walk.add_weighted_edges_from((callee, caller, _BACK * anomaly[caller]) for caller, callee in calls)
    # Added after the ways back, because for mutual calls the way forward counts.
    walk.add_weighted_edges_from((caller, callee, anomaly[callee]) for caller, callee in calls)
    for service in incident.services:
        worst = max((anomaly[neighbour] for neighbour in walk.successors(service)), default=0.0)
        walk.add_edge(service, service, weight=_NORMAL + max(anomaly[service] - worst, 0.0))
    return nx.pagerank(walk, alpha=1 - _RESTART, personalization=anomaly) if anomaly else {}
