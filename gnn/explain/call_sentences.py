"""Says in words which calls got worse, and where their time is lost."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from data.channels import Channel, ChannelMap
from data.incident import Incident, Series
from gnn.explain.clock import Clock
from gnn.explain.evidence_items import EvidenceItem
from gnn.explain.metric_changes import Change, Changes, Turn
from gnn.explain.units import duration
from gnn.features.deviation import MeasuredCalls

Call = tuple[str, str]  # caller, callee

# Metrics from sources that see both ends of a call.
_CALLER_S, _CALLEE_S, _LOST = "latency_caller_s", "latency_callee_s", "unmatched_share"
_MUCH_LOST = 0.02  # share of the calls
_MUCH_BETWEEN, _MUCH_BETWEEN_S = 0.3, 0.01  # time between the two ends: share of the call's, and seconds


class CallSentences:
    """Describes the measured calls of one incident."""

    def __init__(
        self,
        incident: Incident,
        calls: MeasuredCalls,
        channel_map: ChannelMap,
        clock: Clock,
        weights: Mapping[EvidenceItem, float],
    ) -> None:
        self._telemetry, self._weights = incident.call_telemetry, weights
        self._row = {call: row for row, call in enumerate(calls.pairs)}
        self._changes = Changes(calls.block, calls.deviations, channel_map, clock.since)

    def worst(self, service: str) -> tuple[Change, Call] | None:
        """The call that got worst, if any: to the service, or with a network fault to or from it."""
        into = [(caller, service) for caller in self.measured_callers(service)]
        changes = ((self._worst(call), call) for call in self._calls_of.get(service, ()))
        worse = [(change, call) for change, call in changes if change and (change.decisive or call in into)]
        if not worse:
            return None
        change, call = max(worse)
        return change._replace(text=self._text(change, call, service)), call

    def is_worse(self, caller: str, callee: str) -> bool:
        """Whether calls from `caller` to `callee` got worse."""
        return self._worst((caller, callee)) is not None

    def measured_callers(self, service: str) -> Sequence[str]:
        """The callers that measure their calls to a service."""
        return self._callers.get(service, ())

    def _text(self, change: Change, call: Call, service: str) -> str:
        caller, callee = call
        if change.decisive and change.metric == _LOST:
            lost = 100.0 * (self._median(call, _LOST) or 0.0)
            return f"{lost:.0f} % of the calls from {caller} to {callee} get no answer"
        whole, part = self._median(call, _CALLER_S), self._median(call, _CALLEE_S)
        if change.decisive and whole is not None and part is not None:
            return (
                f"calls from {caller} to {callee} take {duration(whole)}, "
                f"of which {callee} accounts for {duration(part)}"
            )
        whose = f"calls from {caller}" if callee == service else f"calls to {callee}"
        return f"{whose}: {change.text.replace(_CALLER_S, 'the time they take')}"

    def _median(self, call: Call, name: str) -> float | None:
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
    def _calls_of(self) -> Mapping[str, Sequence[Call]]:
        calls: dict[str, list[Call]] = {}
        for call in self._telemetry:
            for end in dict.fromkeys(call):
                calls.setdefault(end, []).append(call)
        return calls

    def _worst(self, call: Call) -> Change | None:
        """The worst change of a call that got worse; network faults come first."""
        if call not in self._row or call[0] == call[1]:
            return None
        weight = self._weights.get(EvidenceItem("call", call[1], call[0]), 0.0)
        return max(
            (
                change._replace(weight=weight, decisive=change.channel is Channel.NETWORK_FAULT)
                for change in self._changes.of(self._row[call], self._telemetry[call], lambda _: 0.0)
                if change.turn is Turn.WORSE and self._counts(change, call)
            ),
            default=None,
        )

    def _counts(self, change: Change, call: Call) -> bool:
        """Whether a change matters: losses between the two ends must be large enough."""
        if change.channel is not Channel.NETWORK_FAULT:
            return True
        if change.metric == _LOST:
            return (self._median(call, _LOST) or 0.0) >= _MUCH_LOST
        whole, part = self._median(call, _CALLER_S), self._median(call, _CALLEE_S)
        return whole is None or part is None or whole - part >= max(_MUCH_BETWEEN * whole, _MUCH_BETWEEN_S)
