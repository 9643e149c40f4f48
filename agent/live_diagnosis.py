"""Diagnoses live telemetry: suspects, evidence, and the query that shows each piece."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from agent.report.diagnosis import diagnosis
from agent.report.ranking_report import diagnosis_record
from agent.terminal_text import printable
from data.channels import ChannelMap
from data.errors import SettingsError
from data.incident import Incident
from data.options import Common, option
from data.sources.live.access import Access, access
from data.sources.live.collect import Questions
from data.sources.live.gather import Progress, Question
from data.sources.live.kubectl import Kubectl
from data.sources.live.observe import observe
from data.sources.recording import begun_since, incident_of
from data.sources.times import iso_time, seconds
from gnn.options import Weights
from gnn.ranker import Evidence, Ranker, Ranking

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds_of(text: str) -> float:
    """The seconds of a duration such as "15m" or "1h30m"."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("give a duration such as 90s, 15m, 1h or 7d")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def moment_of(text: str) -> float:
    """The Unix time of "now", an ISO 8601 time, or a number."""
    if text == "now":
        return time.time()
    found = seconds(text)
    if found is None:
        raise ValueError("give now, a time such as 2026-11-30T09:15:00Z, or Unix seconds")
    return found


def _duration(text: str) -> str:
    seconds_of(text)
    return text


def _moment(text: str) -> str:
    moment_of(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Moment = Annotated[str, AfterValidator(_moment)]


class LiveOptions(Common, Weights):
    """Which sources to ask, and for what."""

    prometheus: str | None = option(
        None, "Prometheus, or anything with its API (Thanos, Mimir, VictoriaMetrics).", metavar="URL"
    )
    jaeger: str | None = option(None, "Jaeger, for traces.", metavar="URL")
    tempo: str | None = option(None, "Tempo, for traces.", metavar="URL")
    alertmanager: str | None = option(None, "Alertmanager, for alerts that are firing.", metavar="URL")
    at: Moment = "now"
    window: Duration = option(
        "15m", "How far back to look for the start of the incident.", metavar="DURATION"
    )
    baseline: Duration = option("1h", "How much time before the window to compare with.", metavar="DURATION")
    history: Duration = option(
        "7d", "Alerts that kept firing in this time count as routine.", metavar="DURATION"
    )
    namespace: str = option("", "Look at one namespace only.", metavar="NAME")
    by: Literal["service", "workload", "pod"] = option("service", "What counts as one suspect.")
    timeout: Duration = option("20s", "Give up on an answer after this long.", metavar="DURATION")

    def question(self) -> Question:
        """The question, as of now."""
        window_s, baseline_s = seconds_of(self.window), seconds_of(self.baseline)
        at_s = moment_of(self.at)
        return Question(at_s, window_s, baseline_s, self.namespace, self.by, seconds_of(self.history))

    def sources(self, variables: Mapping[str, str]) -> tuple[Access, ...]:
        """The sources to ask, with secrets from the environment.

        Raises:
            SettingsError: no source, or an address or secret that cannot be used.
        """
        names = ("Prometheus", "Jaeger", "Tempo", "Alertmanager")
        given = {name: url for name in names if (url := getattr(self, name.lower()))}
        if not given:
            raise SettingsError(
                "no source is given: use --prometheus URL, --jaeger, --tempo or --alertmanager"
            )
        return tuple(access(name, url, variables) for name, url in given.items())


class LookOptions(LiveOptions):
    """The options of commands that look at one moment and show what they found."""

    at: Moment = option(
        "now",
        "Where the window ends: now, a time (ISO 8601), or Unix seconds. "
        "With a time, the whole window counts as the incident.",
        metavar="TIME",
    )
    report: Path | None = option(
        None, "Write a page that opens offline.", metavar="FILE.html", recorded=False
    )


class DiagnoseOptions(LookOptions):
    """The options of `diagnose`."""

    top: int = option(5, "Show this many suspects.", ge=1)
    save: Path | None = option(
        None, "Save the incident here, to label it and train on it.", metavar="FILE", recorded=False
    )
    watch: Duration | None = option(
        None, "Look again this often, and show how the suspects change.", metavar="DURATION", recorded=False
    )


@dataclass(frozen=True)
class Diagnosis:
    """The result of one look."""

    incident: Incident
    ranking: Ranking
    notes: Sequence[str]
    questions: Questions
    waited_s: float  # for the sources

    def query(self, evidence: Evidence) -> str:
        """The query that shows a piece of evidence, or ""."""
        return self.questions.promql(evidence.call or evidence.service, evidence.metric or "")

    def words(self, top: int) -> str:
        """The diagnosis in words."""
        return diagnosis(self.incident, self.ranking, top, query=self.query)

    def record(self) -> dict[str, Any]:
        """The diagnosis as data."""
        record = diagnosis_record(self.incident, self.ranking)
        for told, candidate in zip(record["candidates"], self.ranking.candidates, strict=True):
            told["queries"] = [self.query(evidence) or None for evidence in candidate.evidence]
        return {**record, "notes": list(self.notes), "waited_s": self.waited_s}


async def diagnose(
    asked: LiveOptions,
    sources: Sequence[Access],
    ranker: Ranker,
    channels: ChannelMap,
    progress: Progress,
    kubectl: Kubectl | None = None,
) -> Diagnosis:
    """Asks the sources and ranks once.

    Raises:
        TelemetryFault: no source gave a usable answer.
    """
    question = asked.question()
    observed = await observe(sources, question, channels, seconds_of(asked.timeout), progress, kubectl)
    progress("ranking")
    recording = observed.recording
    since_s = question.since_s
    if "at" not in asked.model_fields_set:  # with --at, the whole window is the incident
        since_s = begun_since(recording, since_s, channels)
    incident = incident_of(
        recording, since_s, question.at_s - since_s, question.baseline_s,
        incident_id=iso_time(question.at_s), system=asked.namespace, channel_map=channels,
    )  # fmt: skip
    return Diagnosis(incident, ranker.rank(incident), recording.notes, observed.questions, observed.waited_s)


def movement(before: Ranking, now: Ranking) -> str:
    """How the suspects changed since the last look, in one line."""
    chances = {one.service: one.probability or 0.0 for one in before.candidates}
    leading = dict.fromkeys([*before.services[:3], *now.services[:3]])
    after = {one.service: one.probability or 0.0 for one in now.candidates}
    moved = [f"{printable(s)} {chances.get(s, 0.0):.0%} → {after.get(s, 0.0):.0%}" for s in leading]
    return "since the last look: " + ", ".join(moved)
