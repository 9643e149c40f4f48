"""Picks one trace of a service that shows what is wrong: where it failed, or where time was spent."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from data.errors import SchemaError, TelemetryFault
from data.sources.files.opened import File
from data.sources.files.otlp_traces import OtlpTraces
from data.sources.files.reader import Gathered, Reader
from data.sources.files.traces import JaegerTraces
from data.sources.live.gather import Question
from data.sources.live.http import Http
from data.sources.spans import Span

_ASKED = 20  # traces
_DEEPEST = 12  # services of a path


class ExampleTraces:
    """Asks Jaeger or Tempo for the worst of a few traces."""

    def __init__(self, http: Http, question: Question) -> None:
        self._http, self._question = http, question

    async def worst(self, service: str) -> tuple[str, str] | None:
        """What the worst trace through a service shows, and its address; None if there is no trace.

        Raises:
            TelemetryFault: no usable answer.
        """
        traces = await (self._jaeger if self._http.access.name == "Jaeger" else self._tempo)(service)
        if not traces:
            return None
        failed = [one for one in traces if any(span.is_error for span in one)]
        spans = max(failed or traces, key=lambda one: max(span.duration_s for span in one))
        place = "/trace/" if self._http.access.name == "Jaeger" else "/api/v2/traces/"
        return f"trace {spans[0].trace}: {_path(spans)}", f"{self._http.access.url}{place}{spans[0].trace}"

    async def _jaeger(self, service: str) -> list[Sequence[Span]]:
        times = {"start": f"{self._question.since_s * 1e6:.0f}", "end": f"{self._question.at_s * 1e6:.0f}"}
        asked = {"service": service, "limit": _ASKED, **times}
        return self._read(JaegerTraces(), await self._http.get("/api/traces", asked))

    async def _tempo(self, service: str) -> list[Sequence[Span]]:
        times = {"start": f"{self._question.since_s:.0f}", "end": f"{self._question.at_s:.0f}"}
        name = service.replace("\\", "").replace('"', "")
        asked = {"q": f'{{resource.service.name="{name}"}}', "limit": _ASKED, **times}
        answer = self._http.decoded(await self._http.get("/api/search", asked))
        found = answer.get("traces") if isinstance(answer, dict) else None
        known = [one for one in found or () if isinstance(one, dict) and str(one.get("traceID")).isalnum()]
        if not known:
            return []
        slowest = max(known, key=lambda one: float(one.get("durationMs") or 0.0))
        return self._read(OtlpTraces(), await self._http.get(f"/api/v2/traces/{slowest['traceID']}", {}))

    def _read(self, reader: Reader, body: bytes) -> list[Sequence[Span]]:
        file, gathered = File(Path(self._http.access.name), body), Gathered()
        self._http.decoded(body)  # refuses what is not JSON
        try:
            if reader.recognises(file.head):  # otherwise it is empty
                reader.read(file, gathered)
        except SchemaError as error:
            raise TelemetryFault(str(error)) from None
        return list(gathered.spans.open_traces())


def _path(spans: Sequence[Span]) -> str:
    """The path from the first service to where time was spent or a call failed; each service once."""
    known = {span.id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent if span.parent in known else ""].append(span)
    told: dict[str, tuple[float, bool]] = {}
    below = children[""]
    while below and len(told) < _DEEPEST:
        worst = max(below, key=lambda span: (span.is_error, span.duration_s))
        seconds, failed = told.get(worst.service, (0.0, False))
        told[worst.service] = (max(seconds, worst.duration_s), failed or worst.is_error)
        below = children.pop(worst.id, [])
    return " → ".join(
        f"{service} {f'{seconds:.3g} s' if seconds >= 1.0 else f'{1e3 * seconds:.3g} ms'}"
        + (" (failed)" if failed else "")
        for service, (seconds, failed) in told.items()
    )
