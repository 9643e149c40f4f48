"""The level that every ranker must beat: an order drawn at random, always the same for the same incident.

Its source is arithmetic: `gnn.evaluation.metrics` states chance beside every figure, and the two agree.
"""

import random

from data.channels import ChannelMap
from data.incident import Incident


def random_scores(seed: int, incident: Incident, _channels: ChannelMap) -> dict[str, float]:
    """Any score for each service: the seed and the incident's id and services decide it."""
    draw = random.Random(repr((seed, incident.incident_id, incident.services)))
    return {service: draw.random() for service in incident.services}
