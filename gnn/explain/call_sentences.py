"""What callers measure of a service, in words: which calls got worse, and where the time is lost."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from data.channels import Channel, ChannelMap
from data.incident import Incident, Series
from gnn.explain.clock import Clock
from gnn.explain.evidence_items import EvidenceItem
from gnn.explain.metric_changes import Change, Changes, Turn
from gnn.explain.units import duration
from gnn.features.deviation import deviations
from gnn.features.stack import stack_rows
from gnn.ranker import Evidence

Call = tuple[str, str]  # caller, callee

# What sources that know both ends of a call measure of it.
_CALLER_S, _CALLEE_S, _LOST = "latency_caller_s", "latency_callee_s", "unmatched_share"


class CallSentences:
    """Reads the calls of one incident that are measured.

    Args:
        incident: the evidence.
        channel_map: how metric names are read.
        clock: tells points of time.
        weights: what the ranker goes by.
    """

    def __init__(
        self, incident: Incident, channel_map: ChannelMap, clock: Clock, weights: Mapping[EvidenceItem, float]
    ) -> None:
        self._telemetry, self._channel_map = incident.call_telemetry, channel_map
        self._clock, self._weights = clock, weights

    def evidence(self, service: str) -> list[Evidence]:
        """The call that got worst, if any: of those into the service, or lost on the way from it."""
        into = [(caller, service) for caller in self.measured_callers(service)]
        worse = self._lost(service) or self._worse(into)
        if not worse:
            return []
        change, call = max(worse)
        return [Evidence(self._text(change, call, service), service, change.metric, call)]

    def is_between(self, service: str) -> bool:
        """Whether calls from or to a service are slow or lost on the way."""
        return bool(self._lost(service))

    def is_worse(self, caller: str, callee: str) -> bool:
        """Whether the calls from one to the other got worse."""
        return (caller, callee) in self._worst

    def measured_callers(self, service: str) -> Sequence[str]:
        """Who measures its calls to a service."""
        return self._callers.get(service, ())

    def _lost(self, service: str) -> list[tuple[Change, Call]]:
        mine = [call for call in self._telemetry if service in call and call[0] != call[1]]
        return [pair for pair in self._worse(mine) if pair[0].channel is Channel.NETWORK_FAULT]

    def _worse(self, calls: Sequence[Call]) -> list[tuple[Change, Call]]:
        return [(self._worst[call], call) for call in calls if call in self._worst]

    def _text(self, change: Change, call: Call, service: str) -> str:
        caller, callee = call
        whole, part, lost = (self._latest(call, name) for name in (_CALLER_S, _CALLEE_S, _LOST))
        if change.metric == _LOST and lost:
            return f"{100 * lost:.0f} % of the calls from {caller} to {callee} never arrive"
        if change.channel is Channel.NETWORK_FAULT and whole is not None and part is not None:
            return (
                f"calls from {caller} to {callee} take {duration(whole)}, "
                f"of which {callee} accounts for {duration(part)}"
            )
        whose = f"calls from {caller}" if callee == service else f"calls to {callee}"
        return f"{whose}: {change.text}"

    def _latest(self, call: Call, name: str) -> float | None:
        series: Series | None = self._telemetry[call].get(name)
        known = series.incident[np.isfinite(series.incident)] if series is not None else np.empty(0)
        return float(np.median(known)) if len(known) else None

    @cached_property
    def _callers(self) -> Mapping[str, Sequence[str]]:
        callers: dict[str, list[str]] = {}
        for caller, callee in self._telemetry:
            if caller != callee:
                callers.setdefault(callee, []).append(caller)
        return callers

    @cached_property
    def _worst(self) -> Mapping[Call, Change]:
        """Of each call that got worse what got worst; who is lost on the way says most."""
        if not self._telemetry:
            return {}
        block = stack_rows(list(self._telemetry.values()), self._channel_map)
        changes = Changes(block, deviations(block), self._channel_map, self._clock.since)
        found = {}
        for row, (call, metrics) in enumerate(self._telemetry.items()):
            worse = [c for c in changes.of(row, metrics, lambda _: 0.0) if c.turn is Turn.WORSE]
            if worse and call[0] != call[1]:
                first = max(worse, key=lambda c: (c.channel is Channel.NETWORK_FAULT, c.strength))
                weight = self._weights.get(EvidenceItem("call", call[1], call[0]), 0.0)
                found[call] = first._replace(weight=weight)
        return found
