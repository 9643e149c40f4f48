"""What an investigation comes to: who, how sure, why, why not the others, and what to do next."""

from collections.abc import Callable, Mapping, Sequence
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
_TIED = 0.5  # of the first suspect's probability: from here on another is as good
_MOST_TIED = 3
_DOUBT = 0.1  # from here on a model that names another is heard
_SURE = 0.8  # probability from which nothing needs to be settled
_OF_LOOKS = 6  # observations of looks that are told as evidence


@dataclass(frozen=True)
class Rival:
    """Somebody else who was suspected."""

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
    culprits: tuple[str, ...]  # one, several that cannot be told apart, or none
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
    """What a conclusion is made of.

    Args:
        named: by a model, as its culprit; None where none was asked, or it named nobody.
        logs: lines read, by service.
        remedy: for the service that was named.
        missing: kinds of evidence that there was no source for, and the option that would bring each.
    """

    incident: Incident
    ranking: Ranking
    troubled: frozenset[str]
    query: Callable[[Evidence], str]
    shown: Sequence[Shown]
    logs: Mapping[str, Sequence[str]]
    named: str | None
    remedy: RemedyCommand | None
    missing: Mapping[str, str]
    unanswered: Sequence[str]


def conclude(known: Known) -> tuple[Verdict, tuple[str, ...], str]:
    """Who is named, and why: a model may settle a tie and cast doubt, but not overrule the measurements."""
    ranking = known.ranking
    if not ranking.candidates or ranking.verdict == "nobody":
        return "nobody", (), ranking.reason or "no service is suspected"
    first = ranking.candidates[0].service
    tied = _likely(ranking, _TIED)[:_MOST_TIED]
    if ranking.verdict == "unsure":
        if known.named in tied:
            return "culprit", (str(known.named),), "the model's looks settled what the ranker left open"
        settled = _settled_by_logs(tied, known.logs)
        if settled:
            return "culprit", (settled,), "its log lines tell of a failure of its own"
        return "unsure", tied, "the evidence fits each of them"
    if known.named not in (None, first) and known.named in _likely(ranking, _DOUBT):
        return "unsure", (first, str(known.named)), "the ranker and the model name different services"
    return "culprit", (first,), _stands_out(first, known)


def rivals_of(known: Known, culprits: Sequence[str]) -> tuple[Rival, ...]:
    """The next suspects, and why it is not they."""
    others = [one for one in known.ranking.candidates if one.service not in culprits][:_RIVALS]
    return tuple(Rival(one.service, one.probability, _why_not(one, known, culprits)) for one in others)


def evidence_for(known: Known, culprits: Sequence[str]) -> tuple[Shown, ...]:
    """What speaks for the culprits: what the ranker saw, then what the looks showed beside it."""
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
    beside = [
        one
        for one in known.shown
        if one.about[0] in culprits and not any(metric in one.text for metric in metrics) and _is_telling(one)
    ]
    return (*ranked, *beside[:_OF_LOOKS])


def what_would_settle(known: Known, verdict: Verdict, culprits: Sequence[str]) -> tuple[str, ...]:
    """What to look at to be surer."""
    told = [f"Look again: {one}" for one in known.unanswered]
    chances = {one.service: one.probability for one in known.ranking.candidates}
    if verdict == "nobody":
        return tuple(told)
    if verdict == "unsure" or (chances.get(culprits[0]) or 0.0) < _SURE:
        whose = " and ".join(culprits)
        told += [f"{what} of {whose} ({how})" for what, how in known.missing.items()]
    cured = next((one for one in evidence_for(known, culprits[:1]) if one.query), None)
    if cured:
        told.append(f"After the remedy this should be as before: {cured.query}")
    return tuple(told)


def action_for(known: Known, verdict: Verdict, culprits: Sequence[str]) -> NextAction:
    """One thing to do now."""
    if verdict == "nobody":
        return NextAction("Nothing: no service is worse than its own past.")
    if verdict == "culprit" and known.remedy is not None:
        return NextAction(known.remedy.words, known.remedy.shell)
    shown = next((one.query for one in evidence_for(known, culprits) if one.query), "")
    return NextAction(f"Change nothing yet: look at {' and '.join(culprits)} first.", shown)


def _stands_out(culprit: str, known: Known) -> str:
    """What is so of the other services in trouble, and no more than that."""
    others = known.troubled - {culprit}
    callers = {one for one in others if culprit in callees_of(one, known.incident.call_graph)}
    if not others:
        return "nothing else is worse than its own past"
    if callers == others:
        return "whatever else is in trouble calls it"
    return f"it stands out most of {len(others) + 1} services in trouble, {len(callers)} of which call it"


def _likely(ranking: Ranking, share: float) -> tuple[str, ...]:
    """Who is at least so likely, as a share of the first."""
    least = share * (ranking.candidates[0].probability or 0.0)
    return tuple(one.service for one in ranking.candidates if (one.probability or 0.0) >= least)


def _settled_by_logs(tied: Sequence[str], logs: Mapping[str, Sequence[str]]) -> str | None:
    """The only one of them whose own lines tell of a failure of its own, or whom the others' lines blame."""
    accused = {name for lines in logs.values() for name in blamed(lines, tied)}
    guilty = [name for name in tied if guilt(logs.get(name, ())) > 0.0 or name in accused]
    return guilty[0] if len(guilty) == 1 and len(tied) > 1 else None


def _why_not(rival: Candidate, known: Known, culprits: Sequence[str]) -> str:
    graph = known.incident.call_graph
    above = next((one for one in culprits if one in callees_of(rival.service, graph)), None)
    if rival.service not in known.troubled:
        return "nothing at it is worse than its own past"
    if above:
        direct = above in graph.get(rival.service, ())
        return (
            f"it calls {above}{'' if direct else ' through others'}, and shows what such a caller would show"
        )
    strongest = rival.evidence[0].text if rival.evidence else "it only raises no alarm of its own"
    return f"its signs are weaker: {strongest}"


def _is_telling(shown: Shown) -> bool:
    """Not a plain figure: a line of a log, a change, an alert, or who calls whom."""
    return not shown.text.endswith(" at most")
