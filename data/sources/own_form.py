"""Real incidents from JSON-lines files: parsed, checked and brought into the one `Incident` form."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, FiniteFloat, model_validator

from data.files import jsonl
from data.incident import AlertEvent, Floats, Incident, Page, Series
from data.observation import LARGEST, parse

FORM = 'an incident such as {"incident_id": "7", "call_graph": {"web": ["db"]}, "alerts": [], …}'


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class _Points(BaseModel):
    """One metric; null is a missing point, and so is what is too large to calculate with."""

    baseline: tuple[FiniteFloat | None, ...] = ()
    incident: tuple[FiniteFloat | None, ...]

    def to_series(self) -> Series:
        return Series(_points(self.incident), _points(self.baseline))


def _points(values: Sequence[float | None]) -> Floats:
    points = np.array(values, dtype=float)
    points[np.abs(points) > LARGEST] = np.nan
    return points


class _Alert(BaseModel):
    """Kinds and the directions of metrics count in any spelling; a trace's code counts as it is."""

    kind: Annotated[Literal["metric", "trace", "log"], BeforeValidator(_lower)]
    service: str
    name: str
    direction: str | None = None
    caller: str | None = None

    @model_validator(mode="after")
    def _metrics_go_up_or_down(self) -> Self:
        if self.kind == "metric" and self.direction is not None:
            self.direction = self.direction.lower()
            if self.direction not in ("up", "down"):
                raise ValueError("a metric's direction is 'up', 'down' or null")
        return self


class _Page(BaseModel):
    node: str
    metric: str | None = None


class _Call(BaseModel):
    """Telemetry of the calls from one service to another."""

    caller: str
    callee: str
    metrics: dict[str, _Points]


class _IncidentLine(BaseModel):
    """One line of an incident file; fields that we have no name for are ignored."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    incident_id: str
    system: str = ""
    fault: str = ""
    call_graph: dict[str, tuple[str, ...]]
    alerting: _Page | None = None
    telemetry: dict[str, dict[str, _Points]] = {}
    calls: tuple[_Call, ...] = ()
    alerts: tuple[_Alert, ...] = ()
    root_causes: tuple[str, ...] = ()


def read_incidents(path: Path) -> tuple[Incident, ...]:
    """Reads a `.jsonl` or `.jsonl.gz` file of incidents, or all such files of a folder.

    Raises:
        SchemaError: names file, line and field.
    """
    return tuple(
        parse_incident(raw, f"{file}:{number}")
        for file in jsonl.files(path)
        for number, raw in jsonl.read(file, FORM)
    )


def parse_incident(raw: object, where: str) -> Incident:
    """Reads one incident.

    Its services are the callers and callees of the call graph, then those that only the telemetry names. An
    alert may come from elsewhere, such as a host: that makes it no suspect.

    Raises:
        SchemaError: a field is missing or of the wrong type.
    """
    line = parse(_IncidentLine, raw, where)
    calls: dict[tuple[str, str], dict[str, Series]] = {}
    for call in line.calls:
        calls.setdefault((call.caller, call.callee), {}).update(_series(call.metrics))
    services = dict.fromkeys(line.call_graph)
    services.update(dict.fromkeys(callee for callees in line.call_graph.values() for callee in callees))
    services.update(dict.fromkeys(line.telemetry))
    return Incident(
        incident_id=line.incident_id,
        services=tuple(services),
        call_graph=line.call_graph,
        telemetry={name: _series(metrics) for name, metrics in line.telemetry.items()},
        call_telemetry=calls,
        alerts=tuple(AlertEvent(**dict(alert)) for alert in line.alerts),
        page=Page(line.alerting.node, line.alerting.metric) if line.alerting else None,
        system=line.system,
        root_causes=line.root_causes,
        fault=line.fault,
    )


def _series(metrics: Mapping[str, _Points]) -> dict[str, Series]:
    return {name: points.to_series() for name, points in metrics.items()}
