"""The conclusion of an investigation: who, how sure, why, why not the others, and what to do next."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent.investigation.claims import Claim
from agent.investigation.remedies import RemedyCommand
from agent.investigation.telemetry_looks import Shown
from agent.policies.remedy_scores import blamed, guilt
from agent.situation.service_trends import callees_of
from data.incident import Incident
from gnn.ranker import Candidate, Evidence, Ranking, Verdict

_RIVALS = 3
_TIED = 0.5  # share of the first suspect's probability from which another is as likely
_MOST_TIED = 3
_DOUBT = 0.1  # share from which a model may name another suspect
_SURE = 0.8  # probability from which nothing else needs to be looked at
_OF_LOOKS = 6  # observations that are shown as evidence
_ROUTINE = re.compile(r"\b(?:info|debug)\b", re.IGNORECASE)  # levels of log lines


@dataclass(frozen=True)
class Rival:
    """Another suspect, and why it is not the culprit."""

    service: str
    chance: float | None
    why_not: str


@dataclass(frozen=True)
class NextAction:
    """What to do now; the command is never carried out by itself."""

    words: str
    command: str = ""


@dataclass(frozen=True)
class Conclusion:
    """The answer."""

    incident: str
    verdict: Verdict
    culprits: tuple[str, ...]  # one, several that are equally likely, or none
    confidence: float | None
    reason: str
    evidence: tuple[Shown, ...]
    rivals: tuple[Rival, ...]
    would_settle: tuple[str, ...]
    next_action: NextAction
    said: tuple[Claim, ...]  # by the model, checked
    notes: tuple[str, ...]
    decided_by: Mapping[str, int]  # how many steps each of model and rules decided

    def record(self) -> dict[str, Any]:
        """As data."""
        return asdict(self)


@dataclass(frozen=True)
class Known:
    """The basis of a conclusion.

    Args:
        named: the model's culprit; None without a model, or if it named none.
        logs: lines read, by service.
        remedy: for the service that was named.
        waits: of a service, the figures that say that it only waits for others; None otherwise.
        missing: kinds of evidence without a source, and the option that would add each.
    """

    incident: Incident
    ranking: Ranking
    troubled: frozenset[str]
    query: Callable[[Evidence], str]
    shown: Sequence[Shown]
    logs: Mapping[str, Sequence[str]]
    named: str | None
    remedy: RemedyCommand | None
    waits: Callable[[str], str | None]
    missing: Mapping[str, str]
    unanswered: Sequence[str]


def conclude(known: Known) -> tuple[Verdict, tuple[str, ...], str]:
    """Verdict, culprits and reason: a model may settle a tie or cast doubt, but not overrule measurements."""
    ranking = known.ranking
    if not ranking.candidates or ranking.incident_probability is None:
        return "unsure", (), "nothing is known about any service"
    if ranking.verdict == "nobody":
        return "nobody", (), ranking.reason
    first = ranking.candidates[0].service
    tied = _likely(ranking, _TIED)[:_MOST_TIED]
    if ranking.verdict == "unsure":
        waiting = [one for one in tied if known.waits(one) and _reaches(one, set(tied) - {one}, known)]
        if waiting and len(waiting) == len(tied) - 1:
            [culprit] = set(tied) - set(waiting)
            verb = "wait" if len(waiting) > 1 else "waits"
            return "culprit", (culprit,), f"{' and '.join(waiting)} only {verb} for it"
        if known.named in tied:
            return "culprit", (str(known.named),), "the model looked closer, and that settled it"
        settled = _settled_by_logs(tied, known.logs)
        if settled:
            return "culprit", (settled,), "its log lines show a failure of its own"
        comes_first = "it comes first, but not by enough to name it"
        return "unsure", tied, comes_first if len(tied) == 1 else "the evidence fits each of them"
    if known.named not in (None, first) and known.named in _likely(ranking, _DOUBT):
        return "unsure", (first, str(known.named)), "the ranker and the model name different services"
    return "culprit", (first,), _stands_out(first, known)


def confidence_in(known: Known, culprits: Sequence[str]) -> float | None:
    """The chance of the first culprit, given what was ruled out; without culprits, that all is well."""
    ranking = known.ranking
    if not culprits:
        return None if ranking.incident_probability is None else 1.0 - ranking.incident_probability
    chances = {one.service: one.probability for one in ranking.candidates}
    chance = chances.get(culprits[0])
    if chance is None or ranking.verdict == "culprit" or len(culprits) > 1:
        return chance
    ruled_out = [one for one in _likely(ranking, _TIED)[:_MOST_TIED] if one != culprits[0]]
    return chance / (1.0 - sum(chances[one] or 0.0 for one in ruled_out))


def rivals_of(known: Known, culprits: Sequence[str]) -> tuple[Rival, ...]:
    """The next suspects, and why they are not the culprit."""
    others = [one for one in known.ranking.candidates if one.service not in culprits][:_RIVALS]
    return tuple(Rival(one.service, one.probability, _why_not(one, known, culprits)) for one in others)


def evidence_for(known: Known, culprits: Sequence[str]) -> tuple[Shown, ...]:
    """The evidence for the culprits: what the ranker saw, then what else the looks showed."""
    ranked = [
        Shown(
            f"{one.text}" if one.service in one.text else f"{one.service}: {one.text}",
            (one.service,),
            known.query(one),
        )
        for candidate in known.ranking.candidates
        if candidate.service in culprits
        for one in candidate.evidence
    ]
    metrics = {one.metric for c in known.ranking.candidates for one in c.evidence if one.metric}
    lines = {line for of_service in known.logs.values() for line in of_service}
    beside = [
        one
        for one in known.shown
        if one.about[0] in culprits
        and not any(metric in one.text for metric in metrics)
        and not one.is_figure
        and not (one.text in lines and _ROUTINE.search(one.text) and guilt([one.text]) <= 0.0)
    ]
    return (*ranked, *beside[:_OF_LOOKS])


def what_would_settle(known: Known, verdict: Verdict, culprits: Sequence[str]) -> tuple[str, ...]:
    """What to look at to be more certain."""
    told = [f"Try again: {one}" for one in known.unanswered]
    chances = {one.service: one.probability for one in known.ranking.candidates}
    if verdict == "nobody":
        return tuple(told)
    if verdict == "unsure" or (chances.get(culprits[0]) or 0.0) < _SURE:
        whose = " and ".join(culprits) or "the services"
        told += [f"{what} of {whose} ({how})" for what, how in known.missing.items()]
    elif (query := _metric_query(known, culprits)) is not None:
        told.append(f"After the remedy this should be back to normal: {query}")
    return tuple(told)


def action_for(known: Known, verdict: Verdict, culprits: Sequence[str]) -> NextAction:
    """The next thing to do."""
    if verdict == "nobody":
        return NextAction("Nothing: no service is worse than usual.")
    if not culprits:
        return NextAction("Add a source with data about the services: the notes say what is missing.")
    if verdict == "culprit" and not known.incident.telemetry.get(culprits[0]):
        words = f"Ask whoever runs {culprits[0]}: it reports no data of its own here."
        return NextAction(words, _metric_query(known, culprits) or "")
    if verdict == "culprit" and known.remedy is not None:
        return NextAction(known.remedy.words, known.remedy.shell)
    words = f"Change nothing yet: look at {' and '.join(culprits)} first."
    return NextAction(words, _metric_query(known, culprits) or "")


def _metric_query(known: Known, culprits: Sequence[str]) -> str | None:
    """The query for the first metric that speaks for them."""
    those = (c for c in known.ranking.candidates if c.service in culprits)
    return next((query for c in those for one in c.evidence if (query := known.query(one))), None)


def _stands_out(culprit: str, known: Known) -> str:
    """How the other services in trouble relate to the culprit."""
    others = known.troubled - {culprit}
    callers = {one for one in others if culprit in callees_of(one, known.incident.call_graph)}
    if not others:
        return "nothing else is worse than usual"
    if callers == others:
        return "all other services in trouble call it"
    return f"it stands out most of {len(others) + 1} services in trouble, {len(callers)} of which call it"


def _reaches(service: str, others: Collection[str], known: Known) -> bool:
    """Whether it calls one of the others, directly or not."""
    return not callees_of(service, known.incident.call_graph).isdisjoint(others)


def _likely(ranking: Ranking, share: float) -> tuple[str, ...]:
    """The suspects with at least this share of the first one's probability."""
    least = share * (ranking.candidates[0].probability or 0.0)
    return tuple(one.service for one in ranking.candidates if (one.probability or 0.0) >= least)


def _settled_by_logs(tied: Sequence[str], logs: Mapping[str, Sequence[str]]) -> str | None:
    """The only one whose log lines show its own failure, or that the others' lines blame."""
    accused = {name for lines in logs.values() for name in blamed(lines, tied)}
    guilty = [name for name in tied if guilt(logs.get(name, ())) > 0.0 or name in accused]
    return guilty[0] if len(guilty) == 1 and len(tied) > 1 else None


def _why_not(rival: Candidate, known: Known, culprits: Sequence[str]) -> str:
    waits = known.waits(rival.service)
    if waits:
        return waits
    graph = known.incident.call_graph
    above = next((one for one in culprits if one in callees_of(rival.service, graph)), None)
    if rival.service not in known.troubled:
        return "nothing about it is worse than usual"
    if above:
        direct = above in graph.get(rival.service, ())
        return f"it depends on {above}{'' if direct else ' through others'}, which explains its trouble"
    strongest = rival.evidence[0].text if rival.evidence else "it raises no alarm of its own"
    return f"its signs are weaker: {strongest}"
