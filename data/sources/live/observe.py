"""Asks all live sources about one moment; if one does not answer, the others may."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.channels import ChannelMap
from data.errors import SchemaError, TelemetryFault
from data.sources.files.opened import File
from data.sources.files.otlp_traces import OtlpTraces
from data.sources.files.prometheus import AlertList
from data.sources.files.reader import Gathered, Reader
from data.sources.files.traces import JaegerDependencies, JaegerTraces
from data.sources.joining import join
from data.sources.live.access import Access
from data.sources.live.collect import Questions
from data.sources.live.gather import Progress, Question, ask_prometheus
from data.sources.live.http import Http
from data.sources.live.kubectl import Kubectl, supplement_cluster
from data.sources.live.names import Names
from data.sources.recording import Recording


@dataclass(frozen=True)
class Observed:
    """The recording, the query behind each metric, and the sources' total response time."""

    recording: Recording
    questions: Questions
    waited_s: float


async def observe(
    sources: Sequence[Access],
    question: Question,
    channels: ChannelMap,
    timeout_s: float,
    progress: Progress,
    kubectl: Kubectl | None = None,
) -> Observed:
    """Asks all sources; faults are noted in the recording.

    Args:
        sources: named Prometheus, Jaeger, Tempo or Alertmanager; Prometheus takes precedence.
        timeout_s: for each answer.

    Raises:
        TelemetryFault: no source answers; with the first reason.
    """
    recording, names = Recording(), Names(question.by)
    questions = Questions()
    waited_s = 0.0
    faults: list[TelemetryFault] = []
    for source in sorted(sources, key=lambda source: source.name != "Prometheus"):
        async with Http(source, timeout_s) as http:
            try:
                if source.name == "Prometheus":
                    questions = await ask_prometheus(http, question, recording, names, channels, progress)
                else:
                    more = await _OTHERS[source.name](http, question, progress)
                    join(recording, more, names.resolve, keep_known=True)
            except TelemetryFault as error:
                faults.append(error)
            waited_s += http.waited_s
    if kubectl is not None:
        progress("Kubernetes: what runs, what was changed, what warns")
        try:
            supplement_cluster(recording, await kubectl.read(), names, question.since_s)
        except TelemetryFault as error:
            faults.append(error)
    if len(faults) == len(sources) + (kubectl is not None):
        raise faults[0]
    for fault in faults:
        recording.note(f"{fault}; it is left out.")
    return Observed(recording, questions, waited_s)


_MOST_SERVICES = 100  # to ask Jaeger about
_MOST_TRACES = 100  # of one service, before and in the window each; of all in Tempo twice as many
_Part = tuple[Reader, str, Mapping[str, Any]]  # who reads the answer, path, parameters
_TRACE = re.compile(r"[0-9a-fA-F]{1,32}")


async def ask_jaeger(http: Http, question: Question, progress: Progress) -> Recording:
    """What its traces and dependencies show.

    Raises:
        TelemetryFault: it does not list its services.
    """
    progress("Jaeger: listing services")
    listed = http.decoded(await http.get("/api/services", {}))
    services = sorted(str(name) for name in (listed.get("data") or ()) if name != "jaeger-query")
    asked = services[:_MOST_SERVICES]
    lookback_ms = (question.at_s - question.start_s) * 1e3
    times = {"endTs": f"{question.at_s * 1e3:.0f}", "lookback": f"{lookback_ms:.0f}"}
    parts: list[_Part] = [(JaegerDependencies(), "/api/dependencies", times)]
    for service in asked:
        for start_s, end_s in question.halves:
            times = {"start": f"{start_s * 1e6:.0f}", "end": f"{end_s * 1e6:.0f}"}
            parts.append(
                (JaegerTraces(), "/api/traces", {"service": service, "limit": _MOST_TRACES, **times})
            )
    gathered = await _read(http, parts, progress)
    if len(asked) < len(services):
        gathered.recording.note(f"Jaeger has {len(services)} services; the traces of {len(asked)} were read.")
    return gathered.finish()


async def ask_tempo(http: Http, question: Question, progress: Progress) -> Recording:
    """What its traces show.

    Raises:
        TelemetryFault: it cannot be searched.
    """
    progress("Tempo: listing traces")
    ids: dict[str, None] = {}
    for start_s, end_s in question.halves:
        times = {"start": f"{start_s:.0f}", "end": f"{end_s:.0f}"}
        asked = {"q": "{}", "limit": 2 * _MOST_TRACES, **times}
        found = http.decoded(await http.get("/api/search", asked))
        ids.update(dict.fromkeys(str(trace.get("traceID", "")) for trace in found.get("traces") or ()))
    parts: list[_Part] = [(OtlpTraces(), f"/api/v2/traces/{one}", {}) for one in ids if _TRACE.fullmatch(one)]
    return (await _read(http, parts, progress)).finish()


async def ask_alertmanager(http: Http, question: Question, progress: Progress) -> Recording:
    """The alerts that are firing, and the first page.

    Raises:
        TelemetryFault: it lists no alerts.
    """
    return (await _read(http, [(AlertList(), "/api/v2/alerts", {"active": "true"})], progress)).finish()


async def _read(http: Http, parts: Sequence[_Part], progress: Progress) -> Gathered:
    """Reads all answers; the reasons for missing ones are noted.

    Raises:
        TelemetryFault: there is none at all.
    """
    gathered, name = Gathered(), http.access.name
    answered = 0
    faults: list[TelemetryFault] = []

    async def read(reader: Reader, path: str, parameters: Mapping[str, Any]) -> None:
        nonlocal answered
        try:
            file = File(Path(name), await http.get(path, parameters))
            if reader.recognises(file.head):  # otherwise it is empty
                reader.read(file, gathered)
            answered += 1
        except TelemetryFault as fault:
            faults.append(fault)
        except SchemaError as error:
            faults.append(TelemetryFault(str(error)))
        progress(f"{name}: {answered} of {len(parts)} questions answered")

    await asyncio.gather(*(read(*part) for part in parts))
    if faults and not answered:
        raise faults[0]
    for fault in faults:
        gathered.recording.note(f"{fault}; part of the data in {name} is missing.")
    return gathered


_Ask = Callable[[Http, Question, Progress], Coroutine[Any, Any, Recording]]
_OTHERS: Mapping[str, _Ask] = {"Jaeger": ask_jaeger, "Tempo": ask_tempo, "Alertmanager": ask_alertmanager}
