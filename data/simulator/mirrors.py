"""Services that only mirror another one: load balancers on the way to it, clients as it sees them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from data.incident import Incident, Series

_JITTER = 0.1


def with_proxies(rng: np.random.Generator, incident: Incident) -> Incident:
    """Adds proxies (called by a service's callers, calling nobody) and clients (calling it, called by nobody).

    Tracing back ends report such names beside the real service, with nearly its figures; they never are the root.
    """
    share = rng.uniform(0.1, 0.5)
    graph = {name: list(callees) for name, callees in incident.call_graph.items()}
    telemetry = {name: dict(metrics) for name, metrics in incident.telemetry.items()}
    for name in incident.services:
        callers = [caller for caller, callees in incident.call_graph.items() if name in callees]
        if callers and rng.random() < share:
            proxy = f"{name}.proxy"
            graph[proxy] = []
            for caller in callers:
                graph[caller].append(proxy)
            telemetry[proxy] = _mirrored(rng, telemetry.get(name, {}))
        if rng.random() < share / 3:
            graph[f"{name}.client"] = [name]
            telemetry[f"{name}.client"] = _mirrored(rng, telemetry.get(name, {}))
    return replace(incident, services=tuple(graph), call_graph=graph, telemetry=telemetry)


def _mirrored(rng: np.random.Generator, metrics: Mapping[str, Series]) -> dict[str, Series]:
    """The same figures as somebody else measures them: a little off, often incomplete."""
    factor, holes = rng.uniform(0.9, 1.6), rng.choice([0.0, 0.1, 0.5])
    mirrored = {}
    for name, series in metrics.items():
        if rng.random() < 0.2:
            continue
        is_duration = any(word in name.lower() for word in ("lat", "dur", "time", "_p"))
        parts = []
        for points in (series.incident, series.baseline):
            noisy = points * factor * np.exp(_JITTER * rng.standard_normal(len(points))) if is_duration else points
            parts.append(np.where(rng.random(len(points)) < holes, np.nan, noisy))
        mirrored[name] = Series(*parts)
    return mirrored
