"""Says why a service is suspected, in sentences that a person or a model can check."""

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from data.channels import Channel, ChannelMap, Meaning
from data.incident import AlertEvent, Incident
from gnn.explain.call_sentences import CallSentences
from gnn.explain.clock import Clock
from gnn.explain.evidence_items import EvidenceItem
from gnn.explain.metric_changes import FLOW, Change, Changes, Turn
from gnn.features.drift import LATENCY
from gnn.features.featurize import Features, features_of
from gnn.features.replicas import Replicas, replicas
from gnn.features.topology import calls_of
from gnn.per_system.alert_frequencies import AlertFrequencies, raised_in
from gnn.ranker import Evidence

_MOST = 4  # sentences per candidate
_CHANGES = 3  # of these about its own metrics
_RECENT_S = 3600.0
_ENOUGH = 10  # past incidents needed to call an alert unusual
_RARE = 0.1  # up to this share of past incidents an alert is unusual
_USUAL = 0.5  # from this share of past windows on an alert is usual
_CHANGED = {
    Channel.DEPLOY_AGE: "deployed",
    Channel.CONFIG_AGE: "configuration changed",
    Channel.UPTIME: "process started",
}
_FELT = (Channel.ERROR, *LATENCY)
_UNWEIGHED: Mapping[EvidenceItem, float] = {}


def explain(
    incident: Incident,
    services: Sequence[str],
    channel_map: ChannelMap,
    weights: Mapping[EvidenceItem, float] = _UNWEIGHED,
    frequencies: AlertFrequencies | None = None,
    features: Features | None = None,
) -> dict[str, tuple[Evidence, ...]]:
    """The evidence about each of `services`, at most four sentences, the strongest first.

    Metrics are compared with their baseline or, without one, with their first point and the other services.

    Args:
        weights: contributions to the ranker's score; channels with more weight come first.
    """
    features = features or features_of(incident, channel_map)
    reader = _EvidenceReader(incident, services, channel_map, features, weights, frequencies)
    return {service: reader.evidence(service) for service in services}


class _EvidenceReader:
    """Words the evidence of one incident."""

    def __init__(
        self,
        incident: Incident,
        services: Sequence[str],
        channel_map: ChannelMap,
        features: Features,
        weights: Mapping[EvidenceItem, float],
        frequencies: AlertFrequencies | None,
    ) -> None:
        self._incident, self._channel_map, self._weights = incident, channel_map, weights
        self._row = {name: incident.services.index(name) for name in services}
        self._clock = Clock(incident)
        self._changes = Changes(features.block, features.deviations, channel_map, self._clock.since)
        self._calls = CallSentences(incident, features.calls, channel_map, self._clock, weights)
        self._frequencies, self._raised = frequencies, raised_in(incident) if frequencies else {}

    def evidence(self, service: str) -> tuple[Evidence, ...]:
        """The evidence about one service."""
        changes = sorted(self._changed(service), reverse=True)[:_CHANGES]
        worse = [(change, Evidence(change.text, service, change.metric)) for change in changes]
        if (call := self._calls.worst(service)) is not None:
            worse.append((call[0], Evidence(call[0].text, service, call[0].metric, call[1])))
        worse.sort(key=lambda pair: pair[0], reverse=True)
        told = [evidence for change, evidence in worse if change.turn is Turn.WORSE]
        alerts = self._alerts(service)
        told = [*alerts, *told] if self._is_down(service) else [*told, *self._ages(service), *alerts]
        told += self._surprises(service)
        told += self._callers(service)
        told += [evidence for change, evidence in worse if change.turn is not Turn.WORSE]
        return tuple(told[:_MOST])

    def _changed(self, service: str) -> list[Change]:
        metrics = self._incident.telemetry.get(service, {})
        return list(
            self._changes.of(
                self._row[service],
                metrics,
                lambda channel: self._weights.get(EvidenceItem("channel", service, channel), 0.0),
            )
        )

    @cached_property
    def _callers_of(self) -> Mapping[str, list[str]]:
        """The callers of each service that is explained, by the call graph."""
        callers: dict[str, list[str]] = {name: [] for name in self._row}
        for caller, callees in self._incident.call_graph.items():
            for callee in callers.keys() & callees:
                if callee != caller:
                    callers[callee].append(caller)
        return callers

    def _callers(self, service: str) -> list[Evidence]:
        """The callers that got worse, by themselves or in their calls to the service."""
        callers = self._callers_of[service]
        callers = list(dict.fromkeys((*callers, *self._calls.measured_callers(service))))
        hurt = [name for name in callers if name in self._hurt or self._calls.is_worse(name, service)]
        if hurt:
            of = f"{len(hurt)} of its {len(callers)} callers {'is' if len(hurt) == 1 else 'are'}"
            whose = "its only caller is" if len(callers) == 1 else of
            return [Evidence(f"{whose} degraded too: {', '.join(hurt[:3])}", service)]
        if callers and not self._incident.telemetry.get(service):
            return [Evidence(f"no metrics of its own; called by {', '.join(callers[:3])}", service)]
        return []

    @cached_property
    def _hurt(self) -> frozenset[str]:
        """Services that got worse for their callers."""
        worse = self._changes.worse(_FELT)
        names = itertools.compress(self._incident.services, worse.tolist())
        return frozenset(names) | {alert.service for alert in self._incident.alerts if alert.kind == "trace"}

    def _ages(self, service: str) -> list[Evidence]:
        """Recent changes (deploys, configuration, restarts), unless most services have them."""
        told = []
        for name in self._incident.telemetry.get(service, {}):
            meaning = self._channel_map(name)
            if meaning is None or meaning.channel not in _CHANGED:
                continue
            age_s = self._age_s(service, name, meaning)
            if age_s is None or self._is_shared(name, meaning):
                continue
            points = len(self._incident.telemetry[service][name].incident)
            text = f"{_CHANGED[meaning.channel]} {self._clock.ago(age_s, points)}"
            told.append(Evidence(text, service, name))
        return told

    def _age_s(self, service: str, name: str, meaning: Meaning) -> float | None:
        """How long ago it changed; None if unknown or long ago."""
        series = self._incident.telemetry[service].get(name)
        known = series.incident[np.isfinite(series.incident)] if series else np.empty(0)
        age_s = float(known[-1]) * meaning.scale if len(known) else _RECENT_S
        return age_s if 0.0 <= age_s < _RECENT_S else None

    def _is_shared(self, name: str, meaning: Meaning) -> bool:
        """Whether several services, and most that report this metric, have changed recently."""
        those = [service for service, metrics in self._incident.telemetry.items() if name in metrics]
        recent = sum(self._age_s(service, name, meaning) is not None for service in those)
        return recent > max(len(those) / 2, 1)

    def _alerts(self, service: str) -> list[Evidence]:
        alerts = [alert for alert in self._incident.alerts if alert.service == service]
        if self._incident.telemetry:  # with metrics, common alerts add nothing
            alerts = [one for one in alerts if one.name not in self._everywhere and not self._is_usual(one)]
        if not alerts:
            return []
        alerts.sort(
            key=lambda alert: (not self._says_down(alert), self._is_usual(alert), self._is_good(alert))
        )
        counts = Counter((alert.kind, *self._words(alert)) for alert in alerts)
        shown = [
            what if kind != "trace" else f"{_a(what)}{whose}" if count == 1 else f"{count} {what}s{whose}"
            for (kind, what, whose), count in itertools.islice(counts.items(), 3)
        ]
        told = f"{len(alerts)} alert{'s' if len(alerts) > 1 else ''} of its own: {', '.join(shown)}"
        beside = self._beside(service)
        if beside:
            told += f"; in the same place of the graph {', '.join(beside)}"
        return [Evidence(told, service, alerts[0].name)]

    @cached_property
    def _everywhere(self) -> frozenset[str]:
        """The metric alerts that most services raise."""
        raised = {(alert.name, alert.service) for alert in self._incident.alerts if alert.kind == "metric"}
        count = Counter(name for name, _ in raised)
        return frozenset(name for name, n in count.items() if 2 * n > max(len(self._incident.telemetry), 2))

    def _is_down(self, service: str) -> bool:
        """Whether an alert says that the service is down."""
        return any(self._says_down(alert) for alert in self._incident.alerts if alert.service == service)

    def _says_down(self, alert: AlertEvent) -> bool:
        meaning = self._channel_map(alert.name) if alert.kind == "metric" else None
        return meaning is not None and meaning.weight > 1.0

    def _is_usual(self, alert: AlertEvent) -> bool:
        return self._incident.routine.get(alert, 0.0) >= _USUAL

    def _is_good(self, alert: AlertEvent) -> bool:
        """Whether an alert is not bad by itself."""
        meaning = self._channel_map(alert.name) if alert.kind == "metric" else None
        return meaning is not None and (meaning.channel in FLOW or alert.direction == meaning.good_direction)

    def _words(self, alert: AlertEvent) -> tuple[str, str]:
        """What an alert says and, for a call, who called and how it failed."""
        if alert.kind == "log":
            return f"log pattern {alert.name}{', as on other days' if self._is_usual(alert) else ''}", ""
        if alert.kind == "metric":
            usual = ", as on other days" if self._is_usual(alert) else ""
            towards = f" {alert.direction}" if alert.direction and not self._says_down(alert) else ""
            return f"{alert.name}{towards}{usual}", ""
        whose = ""
        if alert.caller is not None:
            known_as = alert.caller if alert.caller in self._names else "outside"
            whose = f" from {'itself' if alert.caller == alert.service else known_as}"
        if alert.direction == "PD":
            return "slow call", whose
        if not alert.direction:
            return "unusual call", whose
        code = f" ({alert.direction})" if alert.direction and alert.direction.upper() != "ERROR" else ""
        return "failed call", whose + code

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._incident.services)

    def _surprises(self, service: str) -> list[Evidence]:
        """The alert that the service raises most rarely, if it is rare."""
        if not self._frequencies or service not in self._raised:
            return []
        sign = self._frequencies.signs(service, self._raised[service])[0]
        if sign.past < _ENOUGH or sign.raised > _RARE * sign.past:
            return []
        text = f"unusual here: {sign.name}, in {sign.raised} of {sign.past} past incidents"
        return [Evidence(text, service, sign.name)]

    def _beside(self, service: str) -> list[str]:
        """The three replicas with the most alerts, if alerts are the only evidence."""
        services = self._incident.services
        if self._incident.telemetry:  # the ranker doesn't use replicas then
            return []
        counts = [
            (self._alert_counts[services[replica]], services[replica])
            for replica in self._replicas.of(services.index(service))
        ]
        most = heapq.nsmallest(3, counts, key=lambda pair: (-pair[0], pair[1]))
        return [f"{count} at {name}" for count, name in most]

    @cached_property
    def _alert_counts(self) -> Counter[str]:
        return Counter(alert.service for alert in self._incident.alerts)

    @cached_property
    def _replicas(self) -> Replicas:
        incident = self._incident
        calls = calls_of(incident, {name: i for i, name in enumerate(incident.services)})
        return replicas(calls, incident.services, incident.owners, ask_calls=True)


def _a(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
