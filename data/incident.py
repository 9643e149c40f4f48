"""The common form of all evidence: observations, series with baselines, and alert events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from data.arrays import Floats
from data.observation import Observation

ALERT_KINDS = ("metric", "trace", "log")
_NOTHING: Floats = np.empty(0)
_NO_NUMBERS: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class Series:
    """One metric of a service or a call: points during and before the incident, NaN where missing."""

    incident: Floats  # (T,)
    baseline: Floats = field(default_factory=lambda: _NOTHING)  # (T0,), empty if unknown


@dataclass(frozen=True)
class AlertEvent:
    """Something that a monitoring system found abnormal: a metric, trace or log pattern of a service."""

    service: str
    kind: str  # one of ALERT_KINDS
    name: str
    direction: str | None = None  # "up", "down", a trace's "PD" (slow) or status code
    caller: str | None = None  # of a trace alert


@dataclass(frozen=True)
class Page:
    """The alert that paged someone: the service and, if known, the metric."""

    service: str
    metric: str | None = None


@dataclass(frozen=True, eq=False)
class Incident:
    """Evidence about one incident; `root_causes` and `fault` are labels, never inputs."""

    incident_id: str
    services: tuple[str, ...]
    call_graph: Mapping[str, Sequence[str]]  # {caller: callees}
    telemetry: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)
    call_telemetry: Mapping[tuple[str, str], Mapping[str, Series]] = field(
        default_factory=dict
    )  # (caller, callee)
    alerts: tuple[AlertEvent, ...] = ()
    page: Page | None = None
    system: str = ""
    owners: Mapping[str, str] = field(default_factory=dict)  # {service: its workload}; replicas share one
    start_s: float | None = None  # Unix time of the first incident point
    step_s: float | None = None  # between two points
    # Alerts that this system also raises when all is well: {alert: share of past windows, 0..1}.
    routine: Mapping[AlertEvent, float] = field(default_factory=dict)
    # The raw observations, oldest first, if the evidence comes from an environment.
    observations: tuple[Observation, ...] = ()
    root_causes: tuple[str, ...] = ()
    fault: str = ""

    @staticmethod
    def from_observations(window: Sequence[Observation], incident_id: str = "") -> "Incident":
        """Builds the incident that an agent sees, from at least one observation, oldest first.

        The services are those of the latest observation, then those that only the call graph names.
        """
        last = window[-1]
        names = dict.fromkeys(last.services)
        for caller, callees in last.call_graph.items():
            names.update(dict.fromkeys((caller, *callees)))
        telemetry: dict[str, dict[str, Series]] = {}
        for name in names:
            past = [s.numbers if (s := o.services.get(name)) is not None else _NO_NUMBERS for o in window]
            if name in last.services or any(past):
                # Keep metrics that are no longer reported: going missing is a symptom.
                metrics = dict.fromkeys(metric for numbers in reversed(past) for metric in numbers)
                telemetry[name] = {
                    metric: Series(np.array([numbers.get(metric, np.nan) for numbers in past]))
                    for metric in metrics
                }
        return Incident(incident_id, tuple(names), last.call_graph, telemetry, observations=tuple(window))

    @property
    def metric_names(self) -> frozenset[str]:
        """The names of all metrics: of services, of calls and of metric alerts."""
        rows = (*self.telemetry.values(), *self.call_telemetry.values())
        alerted = (alert.name for alert in self.alerts if alert.kind == "metric")
        return frozenset().union(*rows, alerted)

    def labelled(self, root_causes: Sequence[str], fault: str = "", system: str = "") -> "Incident":
        """The same evidence with labels."""
        return replace(self, root_causes=tuple(root_causes), fault=fault, system=system or self.system)
