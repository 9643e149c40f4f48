"""Turns the scores of a published method into a ranking."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from data.channels import ChannelMap, default_channel_map
from data.incident import Incident
from gnn.ranker import Candidate, Ranking

Scores = Callable[[Incident, ChannelMap], Mapping[str, float]]  # service → score


@dataclass(frozen=True)
class ScoringRanker:
    """Ranks services by a score function, highest first; ties keep the incident's order."""

    name: str
    scores: Scores
    channel_map: ChannelMap = field(default_factory=default_channel_map)

    def rank(self, incident: Incident) -> Ranking:
        """Ranks the services that have a score; see `Ranker`."""
        scores = self.scores(incident, self.channel_map)
        known = [Candidate(service, scores[service]) for service in incident.services if service in scores]
        return Ranking(tuple(sorted(known, key=lambda one: -one.score)), self.name)
