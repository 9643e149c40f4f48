"""OpenTelemetry metrics and logs in JSON: 64-bit numbers are strings, times are in ns."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AliasPath, BaseModel, BeforeValidator, Field

from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered

_UNITS = {"s": "_seconds", "ms": "_milliseconds", "By": "_bytes", "1": "_ratio", "us": "_microseconds"}
_SEVERE = ("ERROR", "FATAL")
_KINDS_OF_VALUE = ("stringValue", "intValue", "doubleValue", "boolValue")


def attributes_of(raw: object) -> object:
    """`[{"key": "a", "value": {"stringValue": "b"}}]` → `{"a": "b"}`."""
    if not isinstance(raw, list):
        return raw if isinstance(raw, dict) else {}
    found: dict[str, str] = {}
    for one in raw:
        value = one.get("value") if isinstance(one, dict) else None
        if isinstance(value, dict) and isinstance(one.get("key"), str):
            told = next((value[kind] for kind in _KINDS_OF_VALUE if kind in value), None)
            if told is not None:
                found[one["key"]] = str(told).lower() if isinstance(told, bool) else str(told)
    return found


Attributes = Annotated[dict[str, str], BeforeValidator(attributes_of)]
_Number = Annotated[float | None, BeforeValidator(lambda value: None if value is None else float(value))]
Whole = Annotated[float, BeforeValidator(lambda value: float(value or 0))]  # 64 bits: a text


class _Quantile(BaseModel):
    quantile: float = 0.0
    value: float = 0.0


class _Buckets(BaseModel):
    offset: int = 0
    bucketCounts: tuple[Whole, ...] = ()


class _Point(BaseModel):
    attributes: Attributes = {}
    timeUnixNano: Whole = 0.0
    asDouble: _Number = None
    asInt: _Number = None
    count: _Number = None
    sum: _Number = None
    bucketCounts: tuple[Whole, ...] = ()
    explicitBounds: tuple[float, ...] = ()
    scale: int = 0
    zeroCount: Whole = 0.0
    positive: _Buckets = Field(default_factory=_Buckets)
    quantileValues: tuple[_Quantile, ...] = ()


class _Data(BaseModel):
    dataPoints: tuple[_Point, ...] = ()
    isMonotonic: bool = False
    aggregationTemporality: int | str = 2


class _Metric(BaseModel):
    name: str
    unit: str = ""
    gauge: _Data | None = None
    sum: _Data | None = None
    histogram: _Data | None = None
    exponentialHistogram: _Data | None = None
    summary: _Data | None = None


class _ScopeMetrics(BaseModel):
    metrics: tuple[_Metric, ...] = ()


class OtlpBatch(BaseModel):
    """The attributes of a resource, for its metrics, logs or spans."""

    attributes: Attributes = Field({}, validation_alias=AliasPath("resource", "attributes"))


class _ResourceMetrics(OtlpBatch):
    scopeMetrics: tuple[_ScopeMetrics, ...] = ()


class OtlpMetrics:
    """Metrics; deltas are summed up."""

    name = "OpenTelemetry metrics"

    def recognises(self, head: Head) -> bool:
        return head.has("resourceMetrics")

    def read(self, file: File, into: Gathered) -> None:
        totals: defaultdict[tuple[Any, ...], float] = defaultdict(float)
        for batch in file.each(_ResourceMetrics, "resourceMetrics[]"):
            for scope in batch.scopeMetrics:
                for metric in scope.metrics:
                    _take(metric, batch.attributes, into, totals)


def _take(
    metric: _Metric, resource: Mapping[str, str], into: Gathered, totals: defaultdict[tuple[Any, ...], float]
) -> None:
    data = metric.gauge or metric.sum or metric.histogram or metric.exponentialHistogram or metric.summary
    if data is None:
        return
    name = metric.name + _UNITS.get(metric.unit, "")
    if metric.sum and metric.sum.isMonotonic:
        name += "_total" if not name.endswith("_total") else ""
    is_delta = str(data.aggregationTemporality) in ("1", "AGGREGATION_TEMPORALITY_DELTA") and not metric.gauge
    for point in data.dataPoints:
        for suffix, extra, value in _values(point):
            labels = {**resource, **point.attributes, **extra}
            if is_delta and (suffix or name.endswith("_total")):
                key = (name + suffix, *sorted(labels.items()))
                totals[key] += value
                value = totals[key]
            into.samples.add(name + suffix, labels, [point.timeUnixNano / 1e9], [value])


def _values(point: _Point) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yields (suffix of the name, more labels, value), as Prometheus would name them."""
    plain = point.asDouble if point.asDouble is not None else point.asInt
    if plain is not None:
        yield "", {}, plain
    if point.count is not None:
        yield "_count", {}, point.count
    if point.sum is not None:
        yield "_sum", {}, point.sum
    below = 0.0
    for index, count in enumerate(point.bucketCounts):
        below += count
        bound = str(point.explicitBounds[index]) if index < len(point.explicitBounds) else "+Inf"
        yield "_bucket", {"le": bound}, below
    if point.positive.bucketCounts and -20 < point.scale < 21:
        base, below = 2.0 ** (2.0**-point.scale), point.zeroCount
        for index, count in enumerate(point.positive.bucketCounts):
            below += count
            power = point.positive.offset + index + 1
            if abs(power * 2.0**-point.scale) < 1000:
                yield "_bucket", {"le": repr(base**power)}, below
    for one in point.quantileValues:
        yield "", {"quantile": f"{one.quantile:g}"}, one.value


class _Record(BaseModel):
    timeUnixNano: Whole = 0.0
    observedTimeUnixNano: Whole = 0.0
    severityNumber: int = 0
    severityText: str = ""


class _ScopeLogs(BaseModel):
    logRecords: tuple[_Record, ...] = ()


class _ResourceLogs(OtlpBatch):
    scopeLogs: tuple[_ScopeLogs, ...] = ()


class OtlpLogs:
    """Logs: how many lines each service writes, and how many of them are errors."""

    name = "OpenTelemetry logs"

    def recognises(self, head: Head) -> bool:
        return head.has("resourceLogs")

    def read(self, file: File, into: Gathered) -> None:
        number = 0
        for batch in file.each(_ResourceLogs, "resourceLogs[]"):
            service = batch.attributes.get("service.name", "")
            for scope in batch.scopeLogs:
                for record in scope.logRecords:
                    is_error = record.severityNumber >= 17 or record.severityText.upper() in _SEVERE
                    time = (record.timeUnixNano or record.observedTimeUnixNano) / 1e9
                    if service and time:
                        into.spans.logs(service, [time], [is_error])
                    number += 1
            if into.limit is not None and number >= into.limit:
                break
