"""Puts a ranking into words, for somebody who was just woken up."""

from collections.abc import Callable, Mapping

from agent.records.lines import RankingLine
from agent.terminal_text import printable
from data.incident import Incident
from data.words import count
from gnn.explain.attribution import Attribution, Part
from gnn.ranker import Candidate, Evidence, Ranking

_LIKELY = 0.5  # chance from which a kind of fault is named
_TOLD = 4  # parts of an attribution to show in favour of a suspect
_TIED = 0.5  # share of the first suspect's probability from which others are named with it
_MOST_TIED = 3
_WORTH_TELLING = 0.1  # share from which a part against the suspect is shown

_NOT_ATTRIBUTED: Mapping[str, Attribution] = {}


def diagnosis(
    incident: Incident,
    ranking: Ranking,
    top: int,
    attributions: Mapping[str, Attribution] = _NOT_ATTRIBUTED,
    query: Callable[[Evidence], str] = lambda _: "",
) -> str:
    """The first `top` suspects with probability and evidence, and how sure the ranker is.

    Args:
        query: a query that shows a piece of evidence in its source, or "".
    """
    calls = sum(map(len, incident.call_graph.values()))
    lines = [f"{count(len(incident.services), 'service')}, {count(calls, 'call')}."]
    if (chance := ranking.incident_probability) is not None:
        likely = "possible" if ranking.verdict == "nobody" else "likely"
        lines.append(f"Incident {likely if chance >= _LIKELY else 'unlikely'} ({percent_words(chance)}).")
    if _names_nobody(ranking):
        return "\n".join([*lines, in_one_sentence(ranking)]) + "\n"
    lines.append(f"Suspects by '{ranking.ranker}'{_unsure(ranking)}:")
    for place, candidate in enumerate(ranking.top(top), start=1):
        lines.append(f"{place:>3}. {printable(candidate.service)}  {_strength(candidate)}")
        for evidence in candidate.evidence:
            lines.append(f"       - {printable(evidence.text)}")
            lines += [f"         {printable(shown)}" for shown in (query(evidence),) if shown]
        if place == 1 and not ranking.unsure:
            lines += _family(ranking.families)
        if candidate.service in attributions:
            lines += _goes_by(attributions[candidate.service].parts)
    return "\n".join(lines) + "\n"


def in_one_sentence(ranking: Ranking | RankingLine) -> str:
    """The verdict of a ranking, or of its record, in one sentence."""
    if _names_nobody(ranking):
        why = ranking.reason or f"the ranker '{ranking.ranker}' suspects none of the services"
        return f"{'Unsure' if ranking.verdict == 'unsure' else 'Nobody'}: {why}."
    first, *others = ranking.candidates[:3]
    chance = "" if first.probability is None else f" ({percent_words(first.probability)})"
    if ranking.verdict == "culprit":
        return f"{first.service} is the most likely root cause{chance}."
    also = f"; then {' and '.join(one.service for one in others)}" if others else ""
    return f"Unsure: {first.service} comes first{chance}, but not by enough to name it{also}."


def _names_nobody(ranking: Ranking | RankingLine) -> bool:
    return bool(ranking.reason) or ranking.verdict == "nobody" or not ranking.candidates


def _family(families: Mapping[str, float]) -> list[str]:
    """The most likely kind of fault, if more likely than not."""
    name, chance = max(families.items(), key=lambda family: family[1], default=("", 0.0))
    return (
        [f"       looks like {name.replace('_', ' ')} ({percent_words(chance)})"] if chance > _LIKELY else []
    )


def _unsure(ranking: Ranking) -> str:
    if not ranking.unsure:
        return ""
    first = ranking.candidates[0].probability or 0.0
    tied = [printable(c.service) for c in ranking.candidates if (c.probability or 0.0) >= _TIED * first]
    if 1 < len(tied) <= _MOST_TIED:
        return f", unsure between {', '.join(tied[:-1])} and {tied[-1]}"
    return ", unsure"


def _strength(candidate: Candidate) -> str:
    if candidate.probability is None:
        return f"score {candidate.score:.3f}"
    return percent_words(candidate.probability)


def percent_words(chance: float) -> str:
    """A percentage that is never 0 or 100 by rounding."""
    if 0.0 < chance < 0.005:
        return "under 1 %"
    return "over 99 %" if 0.995 <= chance < 1.0 else f"{100 * chance:.0f} %"


def _goes_by(parts: tuple[Part, ...]) -> list[str]:
    """The evidence for and against a suspect, with shares."""
    speaking = [part for part in parts if part.contribution > 0][:_TOLD]
    against = [part for part in parts if part.contribution < 0 and part.share >= _WORTH_TELLING][::-1][:2]
    lines = [("evidence for it, in shares", speaking), ("evidence against it, in shares", against)]
    return [
        f"       {side}: "
        + ", ".join(f"{printable(part.words)} {percent_words(part.share)}" for part in told)
        for side, told in lines
        if told
    ]
