"""Attributes a suspect's score to the evidence, by Shapley values.

Shapley value sampling (Štrumbelj and Kononenko, JMLR 2010), from captum. The players are pieces of evidence
rather than feature columns: one metric feeds many columns (its own, ranks, graph scores), and a piece of
evidence can be removed from the incident to check the attribution.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from data.arrays import Bools, Floats
from data.channels import ChannelMap
from data.errors import SettingsError
from data.extras import needs
from data.incident import Incident
from gnn.explain.evidence_items import EvidenceItem, evidence_items_of, without_items
from gnn.explain.sentences import explain
from gnn.features.featurize import features_of
from gnn.per_system.alert_frequencies import AlertFrequencies
from gnn.ranker import Ranker, Ranking

# The scores of an incident's services, in its order; higher is more suspect: (S,).
Score = Callable[[Incident], npt.NDArray[np.float32]]


@runtime_checkable
class Scorer(Protocol):
    """A ranker whose scores can be explained."""

    @property
    def channel_map(self) -> ChannelMap:
        """How metric names are read."""

    def scores(self, incident: Incident) -> npt.NDArray[np.float32]:
        """The score of each service, in the incident's order: (S,)."""

    def frequencies_for(self, incident: Incident) -> AlertFrequencies | None:
        """The alert frequencies of the incident's system, if known."""


EVERYTHING_ELSE = "everything else"


class AttributionConfig(BaseModel):
    """How thoroughly evidence is weighed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    orders: int = Field(12, gt=0, description="random orders in which the evidence is brought in")
    neighbours: int = Field(8, ge=0, description="callers and callees that are weighed one by one")
    service_scores: int = Field(
        100_000, gt=0, description="services to score for one suspect at most; large systems get fewer orders"
    )


class Part(BaseModel):
    """Some of the evidence and its effect on the suspect's margin."""

    model_config = ConfigDict(frozen=True)

    words: str  # such as "highest latency of cart" or "calls from frontend to cart"
    contribution: float  # to the margin, in units of the score; negative: against the suspect
    share: float  # of all contributions with the same sign


@dataclass(frozen=True)
class Group:
    """Pieces of evidence that are weighed together."""

    words: str
    pieces: tuple[EvidenceItem, ...]


@dataclass(frozen=True)
class Attribution:
    """What speaks for and against one suspect."""

    service: str
    margin: float  # the suspect's score minus the best other score, if there is another
    bare_margin: float  # the margin without any evidence; `margin` is this plus all contributions
    groups: tuple[Group, ...]  # largest contribution first
    contributions: tuple[float, ...]  # of each group

    @property
    def parts(self) -> tuple[Part, ...]:
        """The groups that have an influence, largest contribution first."""
        total = {side: sum(c for c in self.contributions if (c > 0) == side) or 1.0 for side in (True, False)}
        return tuple(
            Part(words=group.words, contribution=value, share=value / total[value > 0])
            for group, value in zip(self.groups, self.contributions, strict=True)
            if value
        )

    def record(self) -> dict[str, Any]:
        """As data."""
        parts = [part.model_dump() for part in self.parts]
        return {"margin": self.margin, "margin_without_evidence": self.bare_margin, "parts": parts}

    def weights(self) -> Mapping[EvidenceItem, float]:
        """The contribution of each piece of evidence that was weighed alone."""
        pairs = zip(self.groups, self.contributions, strict=True)
        return {group.pieces[0]: value for group, value in pairs if len(group.pieces) == 1}


def margin_of(scores: npt.NDArray[np.float32], row: int) -> float:
    """How far the score of `row` is above the best other score."""
    others = np.delete(scores, row)
    return float(scores[row] - others.max()) if len(others) else float(scores[row])


def attribute(
    incident: Incident,
    service: str,
    score: Score,
    channel_map: ChannelMap,
    seed: int = 0,
    config: AttributionConfig | None = None,
) -> Attribution:
    """Attributes the margin of `service` over the best other one to the evidence; same seed, same answer."""
    config = config or AttributionConfig()
    row = incident.services.index(service)
    pieces = evidence_items_of(incident, channel_map)
    roles = _near(pieces, service, config.neighbours)
    others = np.array(score(incident), dtype=np.float64)
    others[row] = -np.inf
    if len(others) > 1:
        roles.setdefault(incident.services[int(others.argmax())], "rival")
    groups = tuple(_groups(pieces, service, roles))
    known: dict[bytes, float] = {}

    def margin(kept: Bools) -> float:
        key = np.packbits(kept).tobytes()
        if key not in known:
            absent = [p for group, stays in zip(groups, kept, strict=True) if not stays for p in group.pieces]
            known[key] = margin_of(score(without_items(incident, absent, channel_map)), row)
        return known[key]

    afford = config.service_scores // (len(incident.services) * max(len(groups), 1))
    values = _shapley(margin, len(groups), max(1, min(config.orders, afford)), seed)
    order = np.argsort(-values, kind="stable")
    return Attribution(
        service,
        margin(np.ones(len(groups), dtype=bool)),
        margin(np.zeros(len(groups), dtype=bool)),
        tuple(groups[i] for i in order),
        tuple(float(values[i]) for i in order),
    )


def attribute_first(
    ranker: Ranker, incident: Incident, ranking: Ranking, top: int, seed: int = 0
) -> tuple[Ranking, dict[str, Attribution]]:
    """Attributes the scores of the first `top` suspects, and sorts their evidence by attribution.

    Raises:
        SettingsError: the ranker is not a network, or a package is missing.
    """
    if not isinstance(ranker, Scorer):
        raise SettingsError(
            f"--attribute looks into a network and '{ranker.name}' is none: choose gnn, mlp or untrained"
        )
    found = {
        candidate.service: attribute(incident, candidate.service, ranker.scores, ranker.channel_map, seed)
        for candidate in ranking.top(top)
    }
    frequencies, features = ranker.frequencies_for(incident), features_of(incident, ranker.channel_map)
    told = {
        service: explain(incident, [service], ranker.channel_map, own.weights(), frequencies, features)[
            service
        ]
        for service, own in found.items()
    }
    candidates = tuple(c._replace(evidence=told.get(c.service, c.evidence)) for c in ranking.candidates)
    return replace(ranking, candidates=candidates), found


def _shapley(value: Callable[[Bools], float], players: int, orders: int, seed: int) -> Floats:
    """The mean gain by each player over random orders of joining: (players,)."""
    if not players:
        return np.zeros(0)
    with needs("train"):
        import torch
        from captum.attr import ShapleyValueSampling

    def forward(mask: torch.Tensor) -> torch.Tensor:  # (N, players) → (N,)
        rows = (mask > 0.5).numpy()
        return torch.tensor([value(kept) for kept in rows], dtype=torch.float64)

    with torch.random.fork_rng(devices=[]):  # captum uses torch's global random state
        torch.manual_seed(seed)
        present = torch.ones((1, players), dtype=torch.float64)
        found = ShapleyValueSampling(forward).attribute(present, baselines=0.0, n_samples=orders)
    return np.asarray(found.squeeze(0).numpy(), dtype=np.float64)


def _groups(pieces: Sequence[EvidenceItem], service: str, roles: Mapping[str, str]) -> Iterator[Group]:
    """Groups the evidence: pieces about the suspect and the page singly, each neighbour's together, the rest.

    Args:
        roles: {neighbour: its role, such as "caller"}.
    """
    rest, around = [], dict[str, list[EvidenceItem]]()
    for piece in pieces:
        ends = {piece.service, piece.detail} if piece.kind == "call" else {piece.service}
        if piece.kind == "page" or (service in ends and all(end in roles for end in ends - {service})):
            yield Group(str(piece), (piece,))
        elif piece.kind != "call" and piece.service in roles:
            around.setdefault(piece.service, []).append(piece)
        else:
            rest.append(piece)
    for name, its in around.items():
        yield Group(f"what is seen at its {roles[name]} {name}", tuple(its))
    if rest:
        yield Group(EVERYTHING_ELSE, tuple(rest))


def _near(pieces: Sequence[EvidenceItem], service: str, most: int) -> dict[str, str]:
    """The `most` callers and callees of `service` with the most evidence: {name: role}."""
    told: dict[str, int] = {}
    roles: dict[str, str] = {}
    for piece in pieces:
        told[piece.service] = told.get(piece.service, 0) + (piece.kind != "call")
        if piece.kind == "call" and piece.service == service:
            roles[piece.detail] = "caller"
        elif piece.kind == "call" and piece.detail == service:
            roles.setdefault(piece.service, "callee")
    chosen = sorted(roles, key=lambda name: -told.get(name, 0))[:most]
    return {name: roles[name] for name in chosen}
