"""A ranking in words, for a person who was just woken up."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.terminal_text import printable
from data.incident import Incident
from gnn.ranker import Candidate, Ranking

if TYPE_CHECKING:
    from gnn.explain.attribution import Attribution, Part

_LIKELY = 0.5  # chance from which a kind of fault is named
_TOLD = 4  # parts of an attribution that speak for a suspect
_WORTH_TELLING = 0.1  # share from which a part that speaks against it is told

NOT_ATTRIBUTED: "Mapping[str, Attribution]" = {}


def diagnosis(
    incident: Incident,
    ranking: Ranking,
    top: int,
    attributions: "Mapping[str, Attribution]" = NOT_ATTRIBUTED,
) -> str:
    """The first `top` suspects with probability and evidence, and how much to trust them.

    Args:
        attributions: of some suspects what the ranker goes by.
    """
    lines = [f"{len(incident.services)} services, {sum(map(len, incident.call_graph.values()))} calls."]
    if ranking.incident_probability is not None:
        chance = f"{ranking.incident_probability:.0%}"
        lines.append(f"Chance that this is an incident, had every second window been one: {chance}.")
    if not ranking.candidates:
        return "\n".join([*lines, f"The ranker '{ranking.ranker}' suspects nobody."]) + "\n"
    lines.append(f"Suspects by '{ranking.ranker}'{_unsure(ranking)}:")
    for place, candidate in enumerate(ranking.top(top), start=1):
        lines.append(f"{place:>3}. {printable(candidate.service)}  {_strength(candidate)}")
        lines += [f"       - {printable(evidence.text)}" for evidence in candidate.evidence]
        if place == 1 and not ranking.unsure:
            lines += _family(ranking.families)
        if candidate.service in attributions:
            lines += _goes_by(attributions[candidate.service].parts)
    return "\n".join(lines) + "\n"


def _family(families: Mapping[str, float]) -> list[str]:
    """What kind of fault it most likely is, once that is more likely than not."""
    name, chance = max(families.items(), key=lambda family: family[1], default=("", 0.0))
    return [f"       looks like {name.replace('_', ' ')} ({chance:.0%})"] if chance > _LIKELY else []


def _unsure(ranking: Ranking) -> str:
    if not ranking.unsure:
        return ""
    stated = (
        "" if ranking.unsure_below is None else f" (it would name one from {ranking.unsure_below:.0%} on)"
    )
    return f", which is unsure{stated}"


def _strength(candidate: Candidate) -> str:
    if candidate.probability is None:
        return f"score {candidate.score:.3f}"
    return f"{candidate.probability:.0%}"


def _goes_by(parts: "tuple[Part, ...]") -> list[str]:
    """What speaks for and against a suspect, each with its share."""
    speaking = [part for part in parts if part.contribution > 0][:_TOLD]
    against = [part for part in parts if part.contribution < 0 and part.share >= _WORTH_TELLING][::-1][:2]
    lines = [("weighs for it", speaking), ("weighs against it", against)]
    return [
        f"       {side}: " + ", ".join(f"{printable(part.words)} {part.share:.0%}" for part in told)
        for side, told in lines
        if told
    ]
