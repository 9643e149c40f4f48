"""The level that every ranker must beat: an order drawn at random, always the same for the same incident.

Its source is arithmetic: `gnn.evaluation.metrics` states chance beside every figure, and the two agree.
"""

import random

from data.incident import Incident
from gnn.baselines.order import ranked
from gnn.ranker import Ranking


class RandomRanker:
    """Scores services at random.

    Args:
        seed: with the incident's id and services it decides the order.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def rank(self, incident: Incident) -> Ranking:
        """Ranks all services; see `Ranker`."""
        draw = random.Random(repr((self._seed, incident.incident_id, incident.services)))
        return ranked({service: draw.random() for service in incident.services}, self.name)
