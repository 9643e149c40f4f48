"""A ranking in words, for a person who was just woken up."""

from agent.wording import printable
from data.incident import Incident
from gnn.ranker import Candidate, Ranking


def diagnosis(incident: Incident, ranking: Ranking, top: int) -> str:
    """The first `top` suspects with probability and evidence, and how much to trust them."""
    lines = [f"{len(incident.services)} services, {sum(map(len, incident.call_graph.values()))} calls."]
    if ranking.incident_probability is not None:
        lines.append(f"Chance that this is an incident: {ranking.incident_probability:.0%}.")
    if not ranking.candidates:
        return "\n".join([*lines, f"The ranker '{ranking.ranker}' suspects nobody."]) + "\n"
    lines.append(f"Suspects by '{ranking.ranker}'" + (", which is unsure:" if ranking.unsure else ":"))
    for place, candidate in enumerate(ranking.top(top), start=1):
        lines.append(f"{place:>3}. {printable(candidate.service)}  {_strength(candidate)}")
        lines += [f"       - {printable(sentence)}" for sentence in candidate.evidence]
    return "\n".join(lines) + "\n"


def _strength(candidate: Candidate) -> str:
    if candidate.probability is None:
        return f"score {candidate.score:.3f}"
    return f"{candidate.probability:.0%}"
