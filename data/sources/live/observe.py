"""One moment as all live sources tell of it: what one does not answer, the others may."""

from dataclasses import dataclass

from data.channels import ChannelMap
from data.sources.live.access import Access
from data.sources.live.collect import Questions
from data.sources.live.gather import Progress, Question, ask_prometheus
from data.sources.live.http import Http
from data.sources.live.names import Names
from data.sources.recording import Recording


@dataclass(frozen=True)
class Sources:
    """Whom to ask."""

    prometheus: Access


@dataclass(frozen=True)
class Observed:
    """What was told, the question behind each metric, and how long the sources took."""

    recording: Recording
    questions: Questions
    waited_s: float = 0.0


async def observe(
    sources: Sources, question: Question, channels: ChannelMap, timeout_s: float, progress: Progress
) -> Observed:
    """Asks all sources; what one cannot tell is noted in the recording.

    Raises:
        TelemetryFault: none of them tells anything; the first reason.
    """
    recording, names = Recording(), Names(question.by)
    async with Http(sources.prometheus, timeout_s) as http:
        questions = await ask_prometheus(http, question, recording, names, channels, progress)
        return Observed(recording, questions, http.waited_s)
