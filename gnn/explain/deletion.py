"""Checks an attribution by deletion: without the evidence that it names the suspect must fall, and far.

Deletion curves: Petsiuk, Das and Saenko, "RISE", BMVC 2018; here one cut, in the incident itself, with random
cuts of the same size beside it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.incident import Incident
from gnn.explain.attribution import AttributionConfig, Scorer, attribute, margin_of
from gnn.explain.evidence_items import EvidenceItem, evidence_items_of, without_items

NAMED = 3  # groups of evidence that are taken away
DRAWS = 5  # random cuts for each of these


@dataclass(frozen=True)
class DeletionEffect:
    """What taking away so many pieces of evidence does to the first suspect."""

    pieces: int
    # Each falls by so much when the named evidence goes, and on average when as much random evidence goes.
    score: tuple[float, float]
    margin: tuple[float, float]  # over the best other suspect
    overturned: tuple[float, float]  # share of cuts after which it is first no more


@dataclass(frozen=True)
class Deletion:
    """Two comparisons on one incident; None where too little evidence is left to draw from."""

    service: str
    # The named evidence against as many other pieces, from anywhere in the incident.
    anywhere: DeletionEffect | None
    # The suspect's own channels that are named first against as many others of its own: the hard comparison.
    own: DeletionEffect | None


def check_deletion(
    ranker: Scorer,
    incident: Incident,
    seed: int = 0,
    named: int = NAMED,
    config: AttributionConfig | None = None,
) -> Deletion:
    """Names the evidence for the first suspect of `incident`, takes it away, and takes away others instead.

    Args:
        ranker: whose scores are explained.
        incident: with at least one service.
        seed: of the attribution and of the random cuts.
        named: groups of evidence to take away.
        config: how thoroughly evidence is weighed.
    """
    service = incident.services[int(np.argmax(ranker.scores(incident)))]
    found = attribute(incident, service, ranker.scores, ranker.channel_map, seed, config)
    pieces = evidence_items_of(incident, ranker.channel_map)
    draw = random.Random(repr((seed, incident.incident_id, service)))
    own = [p for p in pieces if p.service == service and p.kind in ("channel", "alerts")]
    told = [piece for group in found.named[:named] for piece in group.pieces]
    told_own = [piece for group in found.named for piece in group.pieces if piece in own][: min(named, 2)]
    return Deletion(
        service,
        _cut(ranker, incident, service, told, pieces, draw),
        _cut(ranker, incident, service, told_own, own, draw),
    )


def _cut(
    ranker: Scorer,
    incident: Incident,
    service: str,
    told: Sequence[EvidenceItem],
    among: Sequence[EvidenceItem],
    draw: random.Random,
) -> DeletionEffect | None:
    """Cuts `told`, then as many others of `among`; None without any to name or without enough others."""
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
    """Score and margin of a service."""
    scores = ranker.scores(incident)
    row = incident.services.index(service)
    return float(scores[row]), margin_of(scores, row)
