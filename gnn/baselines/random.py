"""The level that every ranker must beat: a random order, the same for the same incident.

On average it reaches the chance level that `gnn.evaluation.metrics` computes.
"""

import random

from data.channels import ChannelMap
from data.incident import Incident


def random_scores(seed: int, incident: Incident, _channels: ChannelMap) -> dict[str, float]:
    """A random score for each service, from the seed and the incident's id and services."""
    draw = random.Random(repr((seed, incident.incident_id, incident.services)))
    return {service: draw.random() for service in incident.services}
