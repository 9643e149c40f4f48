"""OpenTelemetry traces in JSON, which Jaeger v3 and Tempo return, too."""

from pydantic import AliasPath, BaseModel, Field

from data.sources.files.opened import File, Head
from data.sources.files.otlp import Attributes, OtlpBatch, Whole
from data.sources.files.reader import Gathered
from data.sources.files.traces import is_failed, peer_of
from data.sources.spans import Span

_KINDS = ("", "internal", "server", "client", "producer", "consumer")


class _OtlpSpan(BaseModel):
    traceId: str = ""
    spanId: str = ""
    parentSpanId: str = ""
    name: str = ""
    kind: int | str = 0
    startTimeUnixNano: Whole
    endTimeUnixNano: Whole
    attributes: Attributes = {}
    code: int | str = Field("", validation_alias=AliasPath("status", "code"))


class _Scope(BaseModel):
    spans: tuple[_OtlpSpan, ...] = ()


class _ResourceSpans(OtlpBatch):
    scopeSpans: tuple[_Scope, ...] = ()
    instrumentationLibrarySpans: tuple[_Scope, ...] = ()  # before 2022


class OtlpTraces:
    """OpenTelemetry's JSON and JSON lines, Jaeger's `/api/v3/traces`, and Tempo's traces."""

    name = "OpenTelemetry, Jaeger v3 or Tempo traces"
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
        for batch in file.each(_ResourceSpans, f"{place}[]"):
            service = batch.attributes.get("service.name", "")
            for scope in (*batch.scopeSpans, *batch.instrumentationLibrarySpans):
                for span in scope.spans:
                    into.spans.add(_of_otlp(span, service))
                    number += 1
            if into.limit is not None and number >= into.limit:
                break


def _of_otlp(span: _OtlpSpan, service: str) -> Span:
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
        str(span.code) in ("2", "STATUS_CODE_ERROR") or is_failed(span.attributes),
        peer_of(span.attributes),
    )


class _Found(BaseModel):
    traceID: str
    rootServiceName: str = ""
    rootTraceName: str = ""
    startTimeUnixNano: Whole
    durationMs: float = 0.0


class TempoSearch:
    """Tempo's `/api/search`: one entry per trace, with the service where it starts."""

    name = "a Tempo search"

    def recognises(self, head: Head) -> bool:
        return head.has("traces[].traceID", "traces[].rootServiceName")

    def read(self, file: File, into: Gathered) -> None:
        into.recording.note(
            f"{file.where}: a search only shows where traces begin; fetch the traces from /api/v2/traces/<id>"
        )
        for one in file.each(_Found, "traces[]"):
            start, duration = one.startTimeUnixNano / 1e9, one.durationMs / 1e3
            root, name = one.rootServiceName, one.rootTraceName
            if root and "<" not in root:
                into.spans.add(Span(one.traceID, "", "", root, name, "server", start, duration, False))
