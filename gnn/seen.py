"""Fingerprints of the incidents that a checkpoint was trained on, so that evaluation can warn."""

import hashlib
from collections.abc import Iterable

from data.incident import Incident


def mark_of(incident: Incident) -> str:
    """A fingerprint of an incident's id and evidence; labels don't affect it."""
    measured = sorted(
        (name, metric, series.incident.tobytes())
        for name, metrics in incident.telemetry.items()
        for metric, series in metrics.items()
    )
    calls = sorted((caller, sorted(callees)) for caller, callees in incident.call_graph.items())
    alerts = sorted(map(repr, incident.alerts))
    told = repr((incident.incident_id, sorted(incident.services), calls, measured, alerts))
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def marks_of(incidents: Iterable[Incident], earlier: Iterable[str] = ()) -> tuple[str, ...]:
    """The fingerprints of several incidents, together with `earlier` ones."""
    return tuple(sorted({*map(mark_of, incidents), *earlier}))
