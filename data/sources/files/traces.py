"""Traces of Jaeger and Zipkin."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import AliasPath, BaseModel, Field

from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered
from data.sources.recording import NOBODY
from data.sources.spans import Span

_PEER = (
    "peer.service", "server.address", "net.peer.name", "peer.hostname", "db.name", "db.system",
    "db.system.name",
)  # fmt: skip
_FAILED_CODE = re.compile(r"5\d\d")
# gRPC's codes of failures that are the server's.
_FAILED_RPC = frozenset({"2", "4", "8", "12", "13", "14", "15"})


def is_failed(tags: Mapping[str, str]) -> bool:
    """Whether tags of any convention say that a call failed."""
    if (
        tags.get("error", "false").lower() not in ("false", "0", "")
        or tags.get("otel.status_code") == "ERROR"
    ):
        return True
    code = tags.get("http.response.status_code") or tags.get("http.status_code") or ""
    return bool(_FAILED_CODE.fullmatch(code)) or tags.get("rpc.grpc.status_code") in _FAILED_RPC


def peer_of(tags: Mapping[str, str]) -> str:
    """The callee of a call, if its tags name it."""
    return next((tags[name] for name in _PEER if tags.get(name)), "")


class _Reference(BaseModel):
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
    service: str = Field("", validation_alias=AliasPath("process", "serviceName"))


class _Process(BaseModel):
    serviceName: str


class _JaegerTrace(BaseModel):
    spans: tuple[_JaegerSpan, ...] | None = ()
    processes: dict[str, _Process] | None = {}


class JaegerTraces:
    """Jaeger's `/api/traces` (times in µs)."""

    name = "Jaeger traces"

    def recognises(self, head: Head) -> bool:
        return (
            head.has("data[].spans")
            or head.has("[].spans[].operationName")
            or head.has("spans[].operationName")
        )

    def read(self, file: File, into: Gathered) -> None:
        path = "data[]" if file.head.has("data[].spans") else "[]" if file.head.has("[].spans") else ""
        for trace in file.each(_JaegerTrace, path, into.limit):
            for span in trace.spans or ():
                process = (trace.processes or {}).get(span.processID)
                tags = {tag.key: _text(tag.value) for tag in span.tags or ()}
                parents = [one.spanID for one in span.references or () if one.traceID in ("", span.traceID)]
                into.spans.add(
                    Span(
                        trace=span.traceID,
                        id=span.spanID,
                        parent=span.parentSpanID or (parents[0] if parents else ""),
                        service=process.serviceName if process else span.service,
                        name=span.operationName,
                        kind=tags.get("span.kind", "").lower(),
                        start_s=span.startTime / 1e6,
                        duration_s=span.duration / 1e6,
                        is_error=is_failed(tags),
                        peer=peer_of(tags),
                    )
                )


class _Dependency(BaseModel):
    parent: str
    child: str


class JaegerDependencies:
    """Jaeger's `/api/dependencies`: who calls whom."""

    name = "Jaeger dependencies"

    def recognises(self, head: Head) -> bool:
        return head.has("data[].parent", "data[].child") or head.has("[].parent", "[].child", "[].callCount")

    def read(self, file: File, into: Gathered) -> None:
        for call in file.each(_Dependency, "data[]" if file.head.has("data[].parent") else "[]"):
            if call.parent != call.child and not {call.parent, call.child} & NOBODY:
                into.recording.call(call.parent, call.child)


class _ZipkinSpan(BaseModel):
    traceId: str
    id: str
    parentId: str | None = None
    name: str | None = None
    kind: str | None = None
    timestamp: float | None = None  # µs
    duration: float | None = None  # µs
    service: str | None = Field(None, validation_alias=AliasPath("localEndpoint", "serviceName"))
    callee: str | None = Field(None, validation_alias=AliasPath("remoteEndpoint", "serviceName"))
    tags: dict[str, str] | None = None


class ZipkinTraces:
    """Zipkin v2: a list of spans, or of traces."""

    name = "Zipkin traces"

    def recognises(self, head: Head) -> bool:
        return head.has("[].traceId", "[].id") or head.has("[][].traceId", "[][].id")

    def read(self, file: File, into: Gathered) -> None:
        path = "[][]" if file.head.has("[][].traceId") else "[]"
        for span in file.each(_ZipkinSpan, path, into.limit):
            if span.timestamp is None:
                continue
            tags = span.tags or {}
            # An empty text is an error, too.
            failed = {**tags, "error": "true"} if "error" in tags else tags
            into.spans.add(
                Span(
                    trace=span.traceId,
                    id=span.id,
                    parent=span.parentId or "",
                    service=span.service or "",
                    name=span.name or "",
                    kind=(span.kind or "").lower(),
                    start_s=span.timestamp / 1e6,
                    duration_s=(span.duration or 0.0) / 1e6,
                    is_error=is_failed(failed),
                    peer=span.callee or peer_of(tags),
                )
            )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
