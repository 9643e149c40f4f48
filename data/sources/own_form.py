"""Reads and writes incidents in Firewatch's own JSON form."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

from data.arrays import Floats
from data.incident import AlertEvent, Incident, Page, Series
from data.observation import LARGEST, parse

FORM = 'an incident such as {"incident_id": "7", "call_graph": {"web": ["db"]}, "alerts": [], …}'
INCIDENT_SIGNS = ("incident_id", "call_graph", "telemetry")
_NOT_A_NUMBER = ("nan", "inf", "+inf", "-inf", "infinity", "-infinity", "null", "")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _value(point: object) -> object:
    """A point is a number, null, "NaN" as Prometheus writes it, or one of these after its time."""
    if isinstance(point, list) and len(point) == 2:
        point = point[1]
    if isinstance(point, str) and point.lower() in _NOT_A_NUMBER:
        return None
    return None if point != point else point


def _values(points: object) -> object:
    """Most points are numbers already."""
    if not isinstance(points, list):
        return points
    return [point if type(point) is float and point == point else _value(point) for point in points]


_Values = Annotated[tuple[FiniteFloat | None, ...], BeforeValidator(_values)]


class _Part(BaseModel):
    """Unknown fields are kept, to report them."""

    model_config = ConfigDict(coerce_numbers_to_str=True, extra="allow")


class _Points(_Part):
    """One metric; null, and values too large to calculate with, are missing points."""

    baseline: _Values = ()
    incident: _Values


def _points(values: Sequence[float | None]) -> Floats:
    points = np.array(values, dtype=float)
    points[np.abs(points) > LARGEST] = np.nan
    return points


class _Alert(_Part):
    """One alert; its kind, and the direction of a metric, may be in upper case."""

    kind: Annotated[Literal["metric", "trace", "log"], BeforeValidator(_lower)] = "metric"
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

    def to_event(self) -> AlertEvent:
        return AlertEvent(self.service, self.kind, self.name, self.direction, self.caller)


class _Routine(_Alert):
    """An alert and the share of past windows in which it was raised."""

    share: Annotated[float, Field(ge=0, le=1)]


class _Page(_Part):
    node: str
    metric: str | None = None


class _Call(_Part):
    """Telemetry of the calls from one service to another."""

    caller: str
    callee: str
    metrics: dict[str, _Points]


class _IncidentLine(_Part):
    """One line of an incident file."""

    incident_id: str = ""
    system: str = ""
    fault: str = ""
    call_graph: dict[str, tuple[str, ...]] = {}
    alerting: _Page | None = None
    telemetry: dict[str, dict[str, _Points]] = {}
    calls: tuple[_Call, ...] = ()
    alerts: tuple[_Alert, ...] = ()
    root_causes: tuple[str, ...] = ()
    owners: dict[str, str] = {}
    start: FiniteFloat | None = None  # Unix seconds
    step_s: Annotated[FiniteFloat, Field(gt=0)] | None = None
    routine: tuple[_Routine, ...] = ()


def is_incident(raw: object) -> bool:
    """Whether this seems to be an incident, by one of its three main fields."""
    return isinstance(raw, dict) and not raw.keys().isdisjoint(INCIDENT_SIGNS)


def parse_incident(raw: object, where: str, tell: Callable[[str], object] = lambda _: None) -> Incident:
    """Reads one incident.

    Its services are the callers and callees of the call graph, then those that only the telemetry names. An
    alert may come from elsewhere, such as a host: that makes it no suspect.

    Args:
        where: file and line; the file's name stands in for a missing `incident_id`.
        tell: called with each remark: unknown fields, alerts about unknown services.

    Raises:
        SchemaError: a field is of the wrong type.
    """
    line = parse(_IncidentLine, raw, where)
    calls: dict[tuple[str, str], dict[str, Series]] = {}
    for call in line.calls:
        calls.setdefault((call.caller, call.callee), {}).update(_series(call.metrics))
    services = dict.fromkeys(line.call_graph)
    services.update(dict.fromkeys(callee for callees in line.call_graph.values() for callee in callees))
    services.update(dict.fromkeys(line.telemetry))
    incident = Incident(
        incident_id=line.incident_id or PurePath(where).name,
        services=tuple(services),
        call_graph=line.call_graph,
        telemetry={name: _series(metrics) for name, metrics in line.telemetry.items()},
        call_telemetry=calls,
        alerts=tuple(alert.to_event() for alert in line.alerts),
        page=Page(line.alerting.node, line.alerting.metric) if line.alerting else None,
        system=line.system,
        owners=line.owners,
        start_s=line.start,
        step_s=line.step_s,
        routine={entry.to_event(): entry.share for entry in line.routine},
        root_causes=line.root_causes,
        fault=line.fault,
    )
    for name, known in _unknown(line):
        tell(f"unknown field '{name}' is ignored{_meant(name, known)}")
    for name, what in _strangers(incident).items():
        tell(f"{what} is about '{name}', which is not a service of the incident{_meant(name, services)}")
    return incident


def to_json(incident: Incident) -> dict[str, Any]:
    """The own form of an incident: `parse_incident(to_json(i), …)` is `i` but for its observations."""
    calls = [
        {"caller": caller, "callee": callee, "metrics": _written(metrics)}
        for (caller, callee), metrics in incident.call_telemetry.items()
    ]
    page = incident.page
    told = {
        "incident_id": incident.incident_id,
        "system": incident.system,
        "fault": incident.fault,
        "start": incident.start_s,
        "step_s": incident.step_s,
        # Every service is a key, so that one without calls and telemetry stays one.
        "call_graph": {name: list(incident.call_graph.get(name, ())) for name in incident.services},
        "owners": dict(incident.owners),
        "alerting": {"node": page.service, "metric": page.metric} if page else None,
        "alerts": [_alert(event) for event in incident.alerts],
        "routine": [{**_alert(event), "share": share} for event, share in incident.routine.items()],
        "telemetry": {name: _written(metrics) for name, metrics in incident.telemetry.items()},
        "calls": calls,
    }
    kept = {name: value for name, value in told.items() if value not in (None, "", [], {})}
    return {
        **kept,
        "call_graph": told["call_graph"],
        "incident_id": incident.incident_id,
        "root_causes": list(incident.root_causes),
    }


def _alert(event: AlertEvent) -> dict[str, str]:
    fields = ("kind", "service", "name", "direction", "caller")
    return {name: value for name in fields if (value := getattr(event, name)) is not None}


def _written(metrics: Mapping[str, Series]) -> dict[str, dict[str, list[float | None]]]:
    return {
        name: {"baseline": _or_null(series.baseline), "incident": _or_null(series.incident)}
        for name, series in metrics.items()
    }


def _or_null(points: Floats) -> list[float | None]:
    return [None if np.isnan(point) else point for point in points.tolist()]


def _unknown(part: _Part) -> Iterator[tuple[str, Sequence[str]]]:
    """Each unknown field, with the known fields of its object."""
    known = tuple(type(part).model_fields)
    yield from ((name, known) for name in part.model_extra or ())
    for name in known:
        value = getattr(part, name)
        inside = value if isinstance(value, tuple) else (value,)
        for one in inside:
            if isinstance(one, _Part):
                yield from _unknown(one)


def _strangers(incident: Incident) -> dict[str, str]:
    """What alerts or the page are about that is not a service of the incident: {name: what}."""
    found = {event.service: f"an alert ('{event.name}')" for event in incident.alerts}
    if incident.page:
        found.setdefault(incident.page.service, "the page")
    return {name: what for name, what in found.items() if name not in incident.services}


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _series(metrics: Mapping[str, _Points]) -> dict[str, Series]:
    return {name: Series(_points(of.incident), _points(of.baseline)) for name, of in metrics.items()}
