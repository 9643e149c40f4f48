"""The tools' replies: short, typed, and plain about what is not known."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pydantic import BaseModel, Field

from agent.investigation.conclusion import Conclusion
from agent.report.diagnosis import in_one_sentence
from data.incident import Incident
from gnn.ranker import Evidence, Ranking, Verdict


class Fact(BaseModel):
    """One piece of evidence."""

    text: str
    query: str | None = Field(None, description="The query that shows it, where the source has queries.")


class SuspectReply(BaseModel):
    """A service that may have broken."""

    service: str
    probability: float | None
    evidence: list[Fact]


class DiagnosisReply(BaseModel):
    """Which service broke, if any."""

    incident: str
    verdict: Verdict = Field(description="culprit: the first suspect; unsure: too little to name one.")
    summary: str
    incident_probability: float | None
    suspects: list[SuspectReply]
    notes: list[str] = Field(description="What is missing, or was guessed.")


class NeighboursReply(BaseModel):
    """A service's place in the call graph."""

    service: str
    callers: list[str]
    callees: list[str]
    evidence: list[Fact]


class RivalReply(BaseModel):
    """Another suspect, and why it is not the culprit."""

    service: str
    probability: float | None
    why_not: str


class RemedyReply(BaseModel):
    """What to do next, for whom, and why; nothing has been done."""

    incident: str
    verdict: Verdict = Field(description="culprit: act on it; unsure, nobody: change nothing.")
    culprits: list[str]
    probability: float | None
    reason: str
    remedy: str
    command: str = Field(description="What a person could run, or the query to look at; may be empty.")
    evidence: list[Fact]
    rivals: list[RivalReply]
    would_settle: list[str] = Field(description="What to look at to be surer.")
    notes: list[str]


class TopologyReply(BaseModel):
    """Which services call which; only the largest callers if there are many."""

    services: int
    calls: int
    call_graph: dict[str, list[str]]
    cut: bool


Query = Callable[[Evidence], str]


class Look(NamedTuple):
    """One incident, ranked."""

    incident: Incident
    ranking: Ranking
    notes: Sequence[str]
    query: Query


def facts(evidence: Sequence[Evidence], query: Query) -> list[Fact]:
    """Evidence with the queries that show it."""
    return [Fact(text=one.text, query=query(one) or None) for one in evidence]


def diagnosis_reply(look: Look, top: int) -> DiagnosisReply:
    """A ranking as a tool answers it."""
    suspects = () if look.ranking.verdict == "nobody" else look.ranking.top(top)
    return DiagnosisReply(
        incident=look.incident.incident_id,
        verdict=look.ranking.verdict,
        summary=in_one_sentence(look.ranking),
        incident_probability=look.ranking.incident_probability,
        suspects=[
            SuspectReply(
                service=one.service, probability=one.probability, evidence=facts(one.evidence, look.query)
            )
            for one in suspects
        ],
        notes=list(look.notes),
    )


def remedy_reply(found: Conclusion) -> RemedyReply:
    """An investigation as a tool answers it."""
    return RemedyReply(
        incident=found.incident,
        verdict=found.verdict,
        culprits=list(found.culprits),
        probability=found.confidence,
        reason=found.reason,
        remedy=found.next_action.words,
        command=found.next_action.command,
        evidence=[Fact(text=one.text, query=one.query or None) for one in found.evidence],
        rivals=[
            RivalReply(service=one.service, probability=one.chance, why_not=one.why_not)
            for one in found.rivals
        ],
        would_settle=list(found.would_settle),
        notes=list(found.notes),
    )


def topology_reply(incident: Incident, most: int) -> TopologyReply:
    """The call graph; only the services with the most callees, if there are more than `most`."""
    graph = {caller: list(callees) for caller, callees in incident.call_graph.items() if callees}
    kept = sorted(graph, key=lambda caller: -len(graph[caller]))[:most]
    return TopologyReply(
        services=len(incident.services),
        calls=sum(map(len, graph.values())),
        call_graph={caller: graph[caller][:most] for caller in kept},
        cut=len(kept) < len(graph) or any(len(graph[caller]) > most for caller in kept),
    )
