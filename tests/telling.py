"""The evidence about suspects as plain text."""

from collections.abc import Mapping, Sequence

from data.channels import ChannelMap, default_channel_map
from data.incident import Incident
from gnn.explain.evidence_items import EvidenceItem
from gnn.explain.sentences import explain


def sentences_of(
    incident: Incident,
    services: Sequence[str],
    channel_map: ChannelMap | None = None,
    weights: Mapping[EvidenceItem, float] | None = None,
) -> dict[str, tuple[str, ...]]:
    """The sentences about each of `services`."""
    found = explain(incident, services, channel_map or default_channel_map(), weights or {})
    return {service: tuple(map(str, told)) for service, told in found.items()}
