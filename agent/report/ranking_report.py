"""The report on a ranking: suspects, their evidence and, if known, the queries that show it."""

from collections.abc import Mapping
from typing import Any

from agent.records.lines import RankedIncident, SuspectLine
from agent.report.diagnosis import in_one_sentence
from agent.report.document import Report, Section, Table, number, text
from data.incident import Incident
from data.observation import parse
from data.words import count
from gnn.ranker import Ranking

_SHOWN = 10  # suspects
_LEAST_KIND = 0.05  # chance from which a kind of fault is listed


def diagnosis_record(incident: Incident, ranking: Ranking) -> dict[str, Any]:
    """The output of `rank --json` and `diagnose --json` for one incident."""
    likely = sorted(ranking.families.items(), key=lambda kind: -kind[1])
    kinds = {name: round(chance, 4) for name, chance in likely if chance >= _LEAST_KIND}
    return RankedIncident.of(ranking, incident=incident.incident_id, fault_kinds=kinds).record()


def ranking_report(record: Mapping[str, Any], where: str = "ranking") -> Report:
    """The report on one incident, from a `diagnosis_record`.

    Raises:
        SchemaError: the record has another form.
    """
    ranked = parse(RankedIncident, record, where)
    suspects = ranked.candidates[:_SHOWN]
    rows = tuple(
        (number(place, 0), text(one.service), number(one.probability), number(one.score))
        for place, one in enumerate(suspects, start=1)
    )
    table = Table((("place", ""), ("service", ""), ("chance", "to be the root cause"), ("score", "")), rows)
    chance = ranked.incident_probability
    return Report(
        title=ranked.incident or "An incident",
        kind="Diagnosis",
        lead=in_one_sentence(ranked),
        points=(
            *(() if chance is None else (f"Chance that this is an incident: {chance:.0%}.",)),
            *((ranked.explanation,) if ranked.explanation else ()),
            *ranked.notes,
        ),
        sections=(Section("Suspects", table=table), *_kinds(ranked), *map(_evidence, suspects[:5])),
        facts={"ranker": ranked.ranker},
    )


def rankings_report(title: str, record: Mapping[str, Any], where: str) -> Report:
    """The report on several incidents: the first suspects of each."""
    ranked = [parse(RankedIncident, one, where) for one in record["rankings"]]
    named = ("incident", "verdict", "first suspect", "chance", "then", "kind")
    rows = tuple(
        (
            text(one.incident),
            text(one.verdict),
            text(one.candidates[0].service if one.candidates else "–"),
            number(one.candidates[0].probability if one.candidates else None),
            text(", ".join(suspect.service for suspect in one.candidates[1:3])),
            text(_kind(next(iter(one.fault_kinds), "–"))),
        )
        for one in ranked
    )
    sure = sum(one.verdict == "culprit" for one in ranked)
    return Report(
        title=title,
        kind="Diagnoses",
        lead=f"{count(len(ranked), 'incident')}, a culprit named in {sure}.",
        sections=(Section("Incidents", table=Table(tuple((name, "") for name in named), rows)),),
    )


def _kinds(ranked: RankedIncident) -> tuple[Section, ...]:
    if not (ranked.fault_kinds and ranked.candidates):
        return ()
    headings = (("kind of fault", ""), ("chance", "if the first suspect is the root cause"))
    rows = tuple((text(_kind(name)), number(chance)) for name, chance in ranked.fault_kinds.items())
    return (Section(f"Kind of fault at {ranked.candidates[0].service}", table=Table(headings, rows)),)


def _kind(name: str) -> str:
    return name.replace("_", " ")


def _evidence(suspect: SuspectLine) -> Section:
    queries = suspect.queries or (None,) * len(suspect.evidence)
    lines = [line for pair in zip(suspect.evidence, queries, strict=True) for line in pair if line]
    return Section(f"Evidence about {suspect.service}", tuple(lines) or ("None.",))
