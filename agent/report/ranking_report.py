"""A ranking as a report: the suspects, each with its evidence and, where known, the query that shows it."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.report.document import Report, Section, Table, number, text

_SHOWN = 10  # suspects
_LEAD = {
    "culprit": "{first} is the most likely root cause ({chance}).",
    "unsure": "Unsure: {first} comes first ({chance}), but not by enough to name it.",
    "nobody": "Nothing points to a culprit.",
}


def ranking_report(record: Mapping[str, Any]) -> Report:
    """The report on what `rank --json` or `diagnose --json` wrote."""
    suspects: Sequence[Mapping[str, Any]] = record["candidates"][:_SHOWN]
    first = suspects[0] if suspects else {"service": "–", "probability": None}
    chance = "no chance told" if first["probability"] is None else f"{first['probability']:.0%}"
    rows = tuple(
        (text(str(place)), text(one["service"]), number(one["probability"]), number(one["score"]))
        for place, one in enumerate(suspects, start=1)
    )
    table = Table((("place", ""), ("service", ""), ("chance", "to be the root cause"), ("score", "")), rows)
    return Report(
        title=record["incident"] or "An incident",
        kind="Diagnosis",
        lead=_LEAD[record["verdict"] if suspects else "nobody"].format(first=first["service"], chance=chance),
        points=tuple(record.get("notes", ())),
        sections=(Section("Suspects", table=table), *map(_evidence, suspects[:5])),
        facts={"ranker": record["ranker"]},
    )


def _evidence(suspect: Mapping[str, Any]) -> Section:
    queries = suspect.get("queries", [None] * len(suspect["evidence"]))
    lines = [line for pair in zip(suspect["evidence"], queries, strict=True) for line in pair if line]
    return Section(f"Evidence about {suspect['service']}", tuple(lines) or ("None.",))
