"""Asks all live sources about one moment; if one does not answer, the others may."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.channels import ChannelMap
from data.errors import TelemetryFault
from data.sources.joining import join
from data.sources.live.access import Access
from data.sources.live.collect import Questions
from data.sources.live.gather import Progress, Question, ask_prometheus
from data.sources.live.http import Http
from data.sources.live.kubectl import Kubectl, supplement_cluster
from data.sources.live.names import Names
from data.sources.live.others import ask_alertmanager, ask_jaeger, ask_tempo
from data.sources.recording import Recording

_Ask = Callable[[Http, Question, Progress], Coroutine[Any, Any, Recording]]
_OTHERS: Mapping[str, _Ask] = {"Jaeger": ask_jaeger, "Tempo": ask_tempo, "Alertmanager": ask_alertmanager}


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
