"""Checks an attribution by deletion: without the named evidence the suspect's score must drop.

Deletion curves: Petsiuk, Das and Saenko, "RISE", BMVC 2018. Here a single cut is made in the incident itself
and compared with random cuts of the same size.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.incident import Incident
from gnn.explain.attribution import (
    EVERYTHING_ELSE,
    Attribution,
    AttributionConfig,
    Group,
    Scorer,
    attribute,
    margin_of,
)
from gnn.explain.evidence_items import EvidenceItem, evidence_items_of, without_items

NAMED = 3  # groups of evidence to remove
DRAWS = 5  # random cuts to compare with


@dataclass(frozen=True)
class DeletionEffect:
    """What removing evidence does to the first suspect."""

    pieces: int  # removed
    # Each pair: the drop without the named evidence, and the mean drop without as much random evidence.
    score: tuple[float, float]
    margin: tuple[float, float]  # over the best other suspect
    overturned: tuple[float, float]  # share of cuts after which the suspect is no longer first


@dataclass(frozen=True)
class Deletion:
    """Two comparisons on one incident; None if there is too little other evidence to draw from."""

    service: str
    # The named evidence against as many other pieces from anywhere in the incident.
    anywhere: DeletionEffect | None
    # The first named pieces about the suspect itself against as many other such pieces: the harder test.
    own: DeletionEffect | None


def check_deletion(
    ranker: Scorer,
    incident: Incident,
    seed: int = 0,
    named: int = NAMED,
    config: AttributionConfig | None = None,
) -> Deletion:
    """Removes the evidence named for the first suspect, and random evidence instead.

    Args:
        ranker: whose scores are explained.
        incident: with at least one service.
        seed: of the attribution and the random cuts.
        named: groups of evidence to remove.
        config: how thoroughly evidence is weighed.
    """
    service = incident.services[int(np.argmax(ranker.scores(incident)))]
    found = attribute(incident, service, ranker.scores, ranker.channel_map, seed, config)
    pieces = evidence_items_of(incident, ranker.channel_map)
    draw = random.Random(repr((seed, incident.incident_id, service)))
    own = [p for p in pieces if p.service == service and p.kind in ("channel", "alerts")]
    groups = named_groups(found)
    told = [piece for group in groups[:named] for piece in group.pieces]
    told_own = [piece for group in groups for piece in group.pieces if piece in own][: min(named, 2)]
    return Deletion(
        service,
        _cut(ranker, incident, service, told, pieces, draw),
        _cut(ranker, incident, service, told_own, own, draw),
    )


def named_groups(found: Attribution) -> list[Group]:
    """The groups that speak for the suspect, largest contribution first, without "everything else"."""
    pairs = zip(found.groups, found.contributions, strict=True)
    return [group for group, value in pairs if value > 0 and group.words != EVERYTHING_ELSE]


def _cut(
    ranker: Scorer,
    incident: Incident,
    service: str,
    told: Sequence[EvidenceItem],
    among: Sequence[EvidenceItem],
    draw: random.Random,
) -> DeletionEffect | None:
    """Removes `told`, then as many others of `among`; None if `told` is empty or there are too few others."""
    others = [piece for piece in among if piece not in told]
    if not told or len(others) < len(told):
        return None
    before = _standing(ranker, incident, service)
    cuts = [told, *(draw.sample(others, len(told)) for _ in range(DRAWS))]
    after = [_standing(ranker, without_items(incident, cut, ranker.channel_map), service) for cut in cuts]
    falls = [(before[0] - score, before[1] - margin, float(margin < 0)) for score, margin in after]
    means = [sum(fall[k] for fall in falls[1:]) / DRAWS for k in range(3)]
    score, margin, overturned = zip(falls[0], means, strict=True)
    return DeletionEffect(len(told), score, margin, overturned)


def _standing(ranker: Scorer, incident: Incident, service: str) -> tuple[float, float]:
    """A service's score and margin."""
    scores = ranker.scores(incident)
    row = incident.services.index(service)
    return float(scores[row]), margin_of(scores, row)
