"""Splits the evidence of an incident into pieces that people can name, and removes some of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from data.channels import Channel, ChannelMap
from data.incident import AlertEvent, Incident, Series

Kind = Literal["channel", "alerts", "call", "page"]


_CHANNEL_WORDS = {"error": "errors", "latency_mid": "usual latency", "latency_tail": "highest latency"}


class EvidenceItem(NamedTuple):
    """One piece of evidence.

    A channel holds its series and its metric or log alerts; a call holds its telemetry and trace alerts. The
    service's alerts without a channel are one piece.
    """

    kind: Kind
    service: str  # of a call: the callee; of the page: the paging service
    detail: str = ""  # the channel, or the caller

    def __str__(self) -> str:
        if self.kind == "channel":
            return f"{_CHANNEL_WORDS.get(self.detail, self.detail.replace('_', ' '))} of {self.service}"
        if self.kind == "call":
            return f"calls from {self.detail} to {self.service}"
        return f"other alerts of {self.service}" if self.kind == "alerts" else f"the page of {self.service}"


def evidence_items_of(incident: Incident, channel_map: ChannelMap) -> tuple[EvidenceItem, ...]:
    """All evidence about the services of `incident`, in the incident's order."""
    services = frozenset(incident.services)
    found = dict.fromkeys(
        EvidenceItem("channel", service, meaning.channel)
        for service in incident.services
        for name in incident.telemetry.get(service, {})
        if (meaning := channel_map(name)) is not None
    )
    found.update(
        dict.fromkeys(
            piece
            for alert in incident.alerts
            if (piece := _piece_of(alert, services, channel_map)).service in services
        )
    )
    found.update(dict.fromkeys(EvidenceItem("call", callee, caller) for caller, callee in _calls(incident)))
    if incident.page is not None and incident.page.service in services:
        found[EvidenceItem("page", incident.page.service)] = None
    return tuple(found)


def without_items(incident: Incident, removed: Collection[EvidenceItem], channel_map: ChannelMap) -> Incident:
    """The incident without the pieces `removed`; its services stay."""
    if not removed:
        return incident
    gone = frozenset(removed)
    services = frozenset(incident.services)
    blind = {piece.service for piece in gone if piece.kind == "channel"}
    callers = {piece.detail for piece in gone if piece.kind == "call"}
    return replace(
        incident,
        telemetry={
            service: dict(_kept(service, metrics, gone, channel_map)) if service in blind else metrics
            for service, metrics in incident.telemetry.items()
        },
        alerts=tuple(a for a in incident.alerts if _piece_of(a, services, channel_map) not in gone),
        call_graph={
            caller: [callee for callee in callees if EvidenceItem("call", callee, caller) not in gone]
            if caller in callers
            else callees
            for caller, callees in incident.call_graph.items()
        },
        call_telemetry={
            (caller, callee): metrics
            for (caller, callee), metrics in incident.call_telemetry.items()
            if EvidenceItem("call", callee, caller) not in gone
        },
        page=None if incident.page and EvidenceItem("page", incident.page.service) in gone else incident.page,
    )


def _calls(incident: Incident) -> Iterator[tuple[str, str]]:
    """(caller, callee) from the call graph and from call telemetry, without self-calls."""
    services = frozenset(incident.services)
    named = ((caller, callee) for caller, callees in incident.call_graph.items() for callee in callees)
    for caller, callee in (*named, *incident.call_telemetry):
        if caller != callee and caller in services and callee in services:
            yield caller, callee


def _kept(
    service: str, metrics: Mapping[str, Series], gone: frozenset[EvidenceItem], channel_map: ChannelMap
) -> Iterable[tuple[str, Series]]:
    for name, series in metrics.items():
        meaning = channel_map(name)
        if meaning is None or EvidenceItem("channel", service, meaning.channel) not in gone:
            yield name, series


def _piece_of(alert: AlertEvent, services: frozenset[str], channel_map: ChannelMap) -> EvidenceItem:
    """The piece that an alert belongs to."""
    if alert.kind == "trace":
        if alert.caller in services and alert.caller is not None and alert.caller != alert.service:
            return EvidenceItem("call", alert.service, alert.caller)
        slow = Channel.LATENCY_TAIL if alert.caller != alert.service else Channel.OWN_LATENCY
        return EvidenceItem("channel", alert.service, slow if alert.direction == "PD" else Channel.ERROR)
    if alert.kind == "log":
        return EvidenceItem("channel", alert.service, Channel.LOGS)
    meaning = channel_map(alert.name)
    return (
        EvidenceItem("alerts", alert.service)
        if meaning is None
        else EvidenceItem("channel", alert.service, meaning.channel)
    )
