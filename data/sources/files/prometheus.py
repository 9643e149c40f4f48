"""Prometheus API answers: range and instant queries, alerts and rules."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from data.channels import channel_of
from data.incident import AlertEvent
from data.sources.conventions import CALLED, SERVICE
from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered
from data.sources.recording import NOBODY
from data.sources.samples import alerted_service
from data.sources.times import seconds

_WAKES = "page"  # the severity that pages someone, as in Prometheus' documentation
_Value = tuple[float, str]


class _Bucketed(BaseModel):
    """A native histogram at one time."""

    count: float = 0.0
    sum: float = 0.0
    buckets: tuple[tuple[int, float, float, float], ...] = ()  # kind of bounds, lower, upper, count


class _Series(BaseModel):
    metric: dict[str, str]
    values: tuple[_Value, ...] = ()
    value: _Value | None = None
    histograms: tuple[tuple[float, _Bucketed], ...] = ()
    histogram: tuple[float, _Bucketed] | None = None


class PrometheusAnswer:
    """`/api/v1/query` and `/api/v1/query_range`; several answers may be one list or follow each other."""

    name = "a Prometheus answer"

    def recognises(self, head: Head) -> bool:
        return head.has("data.resultType") or head.has("[].data.resultType")

    def read(self, file: File, into: Gathered) -> None:
        path = "[].data.result[]" if file.head.has("[].data.resultType") else "data.result[]"
        for series in file.each(_Series, path):
            name = series.metric.pop("__name__", "")
            values = (*series.values, *([series.value] if series.value else []))
            for one, labels, points in [(name, series.metric, values), *_classic(name, series)]:
                if one:
                    times, numbers = [t for t, _ in points], [_number(v) for _, v in points]
                    into.samples.add(one, labels, times, numbers)
                elif points:
                    _tell_unnamed(file, series.metric, points, into)


def _classic(name: str, series: _Series) -> Iterator[tuple[str, dict[str, str], list[tuple[float, Any]]]]:
    """A native histogram as the buckets, sum and count of a classic one."""
    histograms = (*series.histograms, *([series.histogram] if series.histogram else []))
    if not histograms:
        return
    bounds = sorted({upper for _, one in histograms for _, _, upper, _ in one.buckets})
    by_bound: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for time, one in histograms:
        counts = {upper: count for _, _, upper, count in one.buckets}
        below = 0.0
        for bound in bounds:
            below += counts.get(bound, 0.0)
            by_bound[bound].append((time, below))
    for bound, points in by_bound.items():
        yield f"{name}_bucket", {**series.metric, "le": str(bound)}, points
    yield f"{name}_sum", series.metric, [(time, one.sum) for time, one in histograms]
    yield f"{name}_count", series.metric, [(time, one.count) for time, one in histograms]


def _tell_unnamed(
    file: File, labels: dict[str, str], points: Iterable[tuple[float, Any]], into: Gathered
) -> None:
    """Adds the answer to a computed query: it has no name, so the file's name says what it measures."""
    metric = file.path.name.partition(".")[0]
    times, values = [time for time, _ in points], [_number(value) for _, value in points]
    if channel_of(metric) is None:
        into.recording.note(
            f"{file.where}: its series have no name: name the file after the metric, such as error_rate.json"
        )
    for convention in CALLED:
        caller = into.samples.service(labels, [label for label in convention.caller if label not in SERVICE])
        callee = into.samples.service(labels, convention.callee)
        if caller and callee and caller not in NOBODY and callee not in NOBODY:
            into.recording.series((caller, callee), metric, times, values)
            return
    service = into.samples.service(labels, ("destination_service_name", "destination_workload", *SERVICE))
    if service is None:
        into.recording.note(f"{file.where}: a series names no service – group the query by (service)")
    else:
        into.recording.series(service, metric, times, values)


class _Alert(BaseModel):
    labels: dict[str, str]
    state: str = "firing"
    activeAt: str | None = None
    startsAt: str | None = None
    status: Any = None


class AlertList:
    """Prometheus' `/api/v1/alerts` and `/api/v1/rules`, Alertmanager's webhooks and `/api/v2/alerts`."""

    name = "Prometheus or Alertmanager alerts"

    def recognises(self, head: Head) -> bool:
        return self._path(head) is not None

    def _path(self, head: Head) -> str | None:
        if head.has("data.groups"):
            return "data.groups[].rules[].alerts[]"
        if head.has("data.alerts"):
            return "data.alerts[]"
        if head.has("alerts[].labels"):
            return "alerts[]"
        if head.has("[].alerts[].labels"):
            return "[].alerts[]"
        return "[]" if head.has("[].labels", "[].startsAt") else None

    def read(self, file: File, into: Gathered) -> None:
        total, silent = 0, 0
        pages: list[tuple[float, str]] = []
        for alert in file.each(_Alert, self._path(file.head) or "[]"):
            total += 1
            status = alert.status.get("state") if isinstance(alert.status, dict) else alert.status
            if any(silence in (alert.state, status) for silence in ("resolved", "inactive")):
                silent += 1
                continue
            service = alerted_service(alert.labels, into.samples)
            name = alert.labels.get("alertname", "alert")
            if service is None:
                into.recording.note(f"{file.where}: the alert '{name}' names no service")
                continue
            caller = alert.labels.get("caller") or alert.labels.get("source_workload")
            event = AlertEvent(service, "trace" if caller else "metric", name, None, caller)
            since = seconds(alert.activeAt or alert.startsAt)
            into.recording.alert(event, since)
            if alert.labels.get("severity", "").lower() == _WAKES and since is not None:
                pages.append((since, service))
        if pages:
            into.recording.page(min(pages)[1])
        if total == silent:
            into.recording.note(f"{file.where}: none of its alerts is firing")


def _number(text: object) -> float:
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
