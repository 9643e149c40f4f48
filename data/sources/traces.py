"""Traces of Jaeger, Zipkin, OpenTelemetry and Tempo."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from data.files.json_stream import items
from data.observation import parse
from data.sources.opened import File, Head
from data.sources.otlp import Attributes
from data.sources.reader import Gathered
from data.sources.recording import NOBODY
from data.sources.spans import Span

_PEER = (
    "peer.service",
    "server.address",
    "net.peer.name",
    "peer.hostname",
    "db.name",
    "db.system",
    "db.system.name",
)
_FAILED_CODE = re.compile(r"5\d\d")
# gRPC's codes of failures that are the server's.
_FAILED_RPC = frozenset({"2", "4", "8", "12", "13", "14", "15"})


def is_failed(tags: Mapping[str, str]) -> bool:
    """Whether tags say that a call failed, by any convention."""
    if (
        tags.get("error", "false").lower() not in ("false", "0", "")
        or tags.get("otel.status_code") == "ERROR"
    ):
        return True
    code = tags.get("http.response.status_code") or tags.get("http.status_code") or ""
    return bool(_FAILED_CODE.fullmatch(code)) or tags.get("rpc.grpc.status_code") in _FAILED_RPC


def peer_of(tags: Mapping[str, str]) -> str:
    """Whom a call is for, as far as its tags tell."""
    return next((tags[name] for name in _PEER if tags.get(name)), "")


class _Reference(BaseModel):
    refType: str = "CHILD_OF"
    traceID: str = ""
    spanID: str


class _Tag(BaseModel):
    key: str
    value: Any = None


class _JaegerSpan(BaseModel):
    traceID: str
    spanID: str
    parentSpanID: str = ""
    operationName: str = ""
    references: tuple[_Reference, ...] | None = ()
    startTime: float  # µs
    duration: float  # µs
    tags: tuple[_Tag, ...] | None = ()
    processID: str = ""
    process: dict[str, Any] | None = None


class _Process(BaseModel):
    serviceName: str


class _JaegerTrace(BaseModel):
    spans: tuple[_JaegerSpan, ...] | None = ()
    processes: dict[str, _Process] | None = {}


class JaegerTraces:
    """Jaeger's `/api/traces` (times in µs)."""

    name = "traces of Jaeger"

    def recognises(self, head: Head) -> bool:
        return (
            head.has("data[].spans")
            or head.has("[].spans[].operationName")
            or head.has("spans[].operationName")
        )

    def read(self, file: File, into: Gathered) -> None:
        path = "data[]" if file.head.has("data[].spans") else "[]" if file.head.has("[].spans") else ""
        with file.open() as stream:
            for number, raw in enumerate(items(stream, file.where, path)):
                if into.limit is not None and number >= into.limit:
                    break
                trace = parse(_JaegerTrace, raw, file.where)
                for span in trace.spans or ():
                    process = (trace.processes or {}).get(span.processID)
                    service = (
                        process.serviceName if process else str((span.process or {}).get("serviceName", ""))
                    )
                    tags = {tag.key: _text(tag.value) for tag in span.tags or ()}
                    references = [one for one in span.references or () if one.traceID in ("", span.traceID)]
                    into.spans.add(
                        Span(
                            span.traceID,
                            span.spanID,
                            span.parentSpanID or (references[0].spanID if references else ""),
                            service,
                            span.operationName,
                            tags.get("span.kind", "").lower(),
                            span.startTime / 1e6,
                            span.duration / 1e6,
                            is_failed(tags),
                            peer_of(tags),
                        )
                    )


class _Dependency(BaseModel):
    parent: str
    child: str
    callCount: float = 0.0


class JaegerDependencies:
    """Jaeger's `/api/dependencies`: who calls whom."""

    name = "dependencies of Jaeger"

    def recognises(self, head: Head) -> bool:
        return head.has("data[].parent", "data[].child") or head.has("[].parent", "[].child", "[].callCount")

    def read(self, file: File, into: Gathered) -> None:
        with file.open() as stream:
            for raw in items(stream, file.where, "data[]" if file.head.has("data[].parent") else "[]"):
                call = parse(_Dependency, raw, file.where)
                if call.parent != call.child and not {call.parent, call.child} & NOBODY:
                    into.recording.call(call.parent, call.child)


class _Endpoint(BaseModel):
    serviceName: str | None = None


class _ZipkinSpan(BaseModel):
    traceId: str
    id: str
    parentId: str | None = None
    name: str | None = None
    kind: str | None = None
    timestamp: float | None = None  # µs
    duration: float | None = None  # µs
    localEndpoint: _Endpoint | None = None
    remoteEndpoint: _Endpoint | None = None
    tags: dict[str, str] | None = None


class ZipkinTraces:
    """Zipkin v2: a list of spans, or of traces."""

    name = "traces of Zipkin"

    def recognises(self, head: Head) -> bool:
        return head.has("[].traceId", "[].id") or head.has("[][].traceId", "[][].id")

    def read(self, file: File, into: Gathered) -> None:
        with file.open() as stream:
            path = "[][]" if file.head.has("[][].traceId") else "[]"
            for number, raw in enumerate(items(stream, file.where, path)):
                if into.limit is not None and number >= into.limit:
                    break
                span = parse(_ZipkinSpan, raw, file.where)
                if span.timestamp is None:
                    continue
                tags = span.tags or {}
                failed = (
                    dict(tags, error="true") if "error" in tags else tags
                )  # an empty one is an error, too
                into.spans.add(
                    Span(
                        span.traceId,
                        span.id,
                        span.parentId or "",
                        (span.localEndpoint and span.localEndpoint.serviceName) or "",
                        span.name or "",
                        (span.kind or "").lower(),
                        span.timestamp / 1e6,
                        (span.duration or 0.0) / 1e6,
                        is_failed(failed),
                        (span.remoteEndpoint and span.remoteEndpoint.serviceName) or peer_of(tags),
                    )
                )


_Nanoseconds = Annotated[float, BeforeValidator(lambda value: float(value or 0))]
_KINDS = ("", "internal", "server", "client", "producer", "consumer")


class _Status(BaseModel):
    code: int | str = 0


class _OtlpSpan(BaseModel):
    traceId: str = ""
    spanId: str = ""
    parentSpanId: str = ""
    name: str = ""
    kind: int | str = 0
    startTimeUnixNano: _Nanoseconds
    endTimeUnixNano: _Nanoseconds
    attributes: Attributes = {}
    status: _Status | None = None


class _Scope(BaseModel):
    spans: tuple[_OtlpSpan, ...] = ()


class _Resource(BaseModel):
    attributes: Attributes = {}


class _ResourceSpans(BaseModel):
    resource: _Resource = Field(default_factory=_Resource)
    scopeSpans: tuple[_Scope, ...] = ()
    instrumentationLibrarySpans: tuple[_Scope, ...] = ()  # before 2022


class OtlpTraces:
    """OpenTelemetry's JSON and JSON lines, Jaeger's `/api/v3/traces`, and traces as Tempo answers them."""

    name = "traces of OpenTelemetry, Jaeger v3 or Tempo"
    _PLACES = (
        "resourceSpans",
        "result.resourceSpans",
        "batches",
        "trace.resourceSpans",
        "trace.batches",
        "[].resourceSpans",
    )

    def recognises(self, head: Head) -> bool:
        return any(head.has(place) for place in self._PLACES)

    def read(self, file: File, into: Gathered) -> None:
        place = next(place for place in self._PLACES if file.head.has(place))
        number = 0
        with file.open() as stream:
            for raw in items(stream, file.where, f"{place}[]"):
                batch = parse(_ResourceSpans, raw, file.where)
                service = batch.resource.attributes.get("service.name", "")
                for scope in (*batch.scopeSpans, *batch.instrumentationLibrarySpans):
                    for span in scope.spans:
                        into.spans.add(_of_otlp(span, service))
                        number += 1
                if into.limit is not None and number >= into.limit:
                    break


def _of_otlp(span: _OtlpSpan, service: str) -> Span:
    code = str(span.status.code) if span.status else ""
    kind = span.kind if isinstance(span.kind, int) else -1
    return Span(
        span.traceId,
        span.spanId,
        span.parentSpanId,
        service,
        span.name,
        _KINDS[kind] if 0 <= kind < len(_KINDS) else str(span.kind).removeprefix("SPAN_KIND_").lower(),
        span.startTimeUnixNano / 1e9,
        max(span.endTimeUnixNano - span.startTimeUnixNano, 0.0) / 1e9,
        code in ("2", "STATUS_CODE_ERROR") or is_failed(span.attributes),
        peer_of(span.attributes),
    )


class _Found(BaseModel):
    traceID: str
    rootServiceName: str = ""
    rootTraceName: str = ""
    startTimeUnixNano: _Nanoseconds
    durationMs: float = 0.0


class TempoSearch:
    """Tempo's `/api/search`: one line a trace, which tells of the service that it enters at."""

    name = "a search of Tempo"

    def recognises(self, head: Head) -> bool:
        return head.has("traces[].traceID", "traces[].rootServiceName")

    def read(self, file: File, into: Gathered) -> None:
        into.recording.note(
            f"{file.where}: a search tells only where traces begin; get the traces by /api/v2/traces/<id>"
        )
        with file.open() as stream:
            for raw in items(stream, file.where, "traces[]"):
                one = parse(_Found, raw, file.where)
                start, duration = one.startTimeUnixNano / 1e9, one.durationMs / 1e3
                if one.rootServiceName and "<" not in one.rootServiceName:
                    into.spans.add(
                        Span(
                            one.traceID,
                            "",
                            "",
                            one.rootServiceName,
                            one.rootTraceName,
                            "server",
                            start,
                            duration,
                            False,
                        )
                    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
