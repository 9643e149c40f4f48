"""Attributions for `rank --attribute`: what the ranker's scores are based on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data.errors import SettingsError
from data.extras import needs
from data.incident import Incident
from gnn.graph_ranker import GraphRanker
from gnn.ranker import Ranker, Ranking

if TYPE_CHECKING:
    from gnn.explain.attribution import Attribution


def attributed(
    ranker: Ranker, incident: Incident, ranking: Ranking, top: int, seed: int
) -> "tuple[Ranking, dict[str, Attribution]]":
    """Like `gnn.explain.attribution.attribute_first`, for rankers that are networks.

    Raises:
        SettingsError: the ranker is not a network.
    """
    if not isinstance(ranker, GraphRanker):
        raise SettingsError(
            f"--attribute looks into a network and '{ranker.name}' is none: choose gnn, mlp or untrained"
        )
    with needs("train"):
        from gnn.explain.attribution import attribute_first

        return attribute_first(ranker, incident, ranking, top, seed)


def attribution_record(attributions: "Mapping[str, Attribution]") -> dict[str, Any]:
    """Attributions as data, by service."""
    return {
        service: {
            "margin": found.margin,
            "margin_without_evidence": found.bare_margin,
            "parts": [part.model_dump() for part in found.parts],
        }
        for service, found in attributions.items()
    }
