"""Why a service is suspected, in plain sentences that a person or a model can check."""

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from data.channels import Channel, ChannelMap
from data.incident import AlertEvent, Incident
from gnn.explain.evidence_items import Piece
from gnn.explain.metric_changes import FLOW, Move, Moves, Turn, known
from gnn.features.drift import LATENCY
from gnn.features.replicas import Replicas, replicas
from gnn.features.topology import calls_of
from gnn.per_system.alert_frequencies import Habits, raised_in
from gnn.ranker import Evidence

_MOST = 4  # sentences a candidate
_MOVES = 2  # of these about its own metrics
_RECENT_S = 3600.0
_ENOUGH = 10  # past incidents that say what is unusual
_RARE = 0.1  # share of them up to which what is raised is worth a sentence
_CHANGED = {
    Channel.DEPLOY_AGE: "deployed",
    Channel.CONFIG_AGE: "configuration changed",
    Channel.UPTIME: "process started",
}
_FELT = frozenset({Channel.ERROR, *LATENCY})
_UNWEIGHED: Mapping[Piece, float] = {}


def explain(
    incident: Incident,
    services: Sequence[str],
    channel_map: ChannelMap,
    weights: Mapping[Piece, float] = _UNWEIGHED,
    habits: Habits | None = None,
) -> dict[str, tuple[Evidence, ...]]:
    """For each of `services` its evidence, at most four sentences each: what got worse, then what else moved.

    Metrics are compared with their own baseline where there is one, else with their first point and with the
    same metric of the other services. Where there are several points, a sentence says since which.

    Args:
        weights: what the ranker goes by; metrics of a channel with more weight come first.
        habits: what is usual in the system, where that is known.
    """
    witness = _Witness(incident, channel_map, weights, habits)
    return {service: witness.evidence(service) for service in services}


class _Witness:
    """Reads one incident; what several sentences need is looked up once."""

    def __init__(
        self,
        incident: Incident,
        channel_map: ChannelMap,
        weights: Mapping[Piece, float],
        habits: Habits | None,
    ) -> None:
        self._incident, self._channel_map, self._weights = incident, channel_map, weights
        self._moves = Moves(incident, channel_map)
        self._habits, self._raised = habits, raised_in(incident) if habits else {}
        self._hurt: dict[str, bool] = {}

    def evidence(self, service: str) -> tuple[Evidence, ...]:
        """What is told of one service."""
        moves = sorted(self._moved(service), reverse=True)[:_MOVES]
        calls = self._worse_calls(service)
        told = [_of(move, service) for move in moves if move.turn is Turn.WORSE]
        if calls:
            caller, loudest = max(calls.items(), key=lambda pair: pair[1])
            text = f"calls from {caller}: {loudest.sentence}"
            told.append(Evidence(text, service, loudest.metric, (caller, service)))
        told += self._changes(service) + self._alerts(service) + self._surprises(service)
        told += self._callers(service, calls)
        told += [_of(move, service) for move in moves if move.turn is not Turn.WORSE]
        return tuple(told[:_MOST])

    def _moved(self, service: str) -> list[Move]:
        weights = self._weights
        return self._moves.of_service(
            service, lambda channel: weights.get(Piece("channel", service, channel), 0.0)
        )

    def _worse_calls(self, service: str) -> dict[str, Move]:
        """What got worst in the calls of each caller whose calls into the service are measured."""
        found = {}
        for caller in self._measured_callers.get(service, ()):
            weight = self._weights.get(Piece("call", service, caller), 0.0)
            worst = max(self._moves.of_call(caller, service, weight), default=None)
            if worst is not None and worst.turn is Turn.WORSE:
                found[caller] = worst
        return found

    @cached_property
    def _measured_callers(self) -> Mapping[str, Sequence[str]]:
        """Callee → callers whose calls into it are measured."""
        callers: dict[str, list[str]] = {}
        for caller, callee in self._incident.call_telemetry:
            if caller != callee:
                callers.setdefault(callee, []).append(caller)
        return callers

    def _callers(self, service: str, calls: Mapping[str, Move]) -> list[Evidence]:
        """Who calls it and fares worse, by itself or in these calls."""
        graph = self._incident.call_graph
        callers = [caller for caller, callees in graph.items() if service in callees and caller != service]
        if service in self._measured_callers:
            callers = list(dict.fromkeys((*callers, *self._measured_callers[service])))
        hurt = [name for name in callers if (name in calls and calls[name].fresh) or self._is_hurt(name)]
        if hurt:
            also = f"{len(hurt)} of {len(callers)} callers {'is' if len(hurt) == 1 else 'are'} degraded too"
            return [Evidence(f"{also}: {', '.join(hurt[:3])}", service)]
        if callers and not self._incident.telemetry.get(service):
            return [Evidence(f"no metrics of its own; called by {', '.join(callers[:3])}", service)]
        return []

    def _is_hurt(self, service: str) -> bool:
        """Whether a service's own callers feel that it got worse."""
        if service not in self._hurt:
            self._hurt[service] = service in self._traced or any(
                move.fresh and move.turn is Turn.WORSE
                for move in self._moves.of_service(service, lambda _: 0.0, _FELT)
            )
        return self._hurt[service]

    @cached_property
    def _traced(self) -> frozenset[str]:
        return frozenset(alert.service for alert in self._incident.alerts if alert.kind == "trace")

    def _changes(self, service: str) -> list[Evidence]:
        told = []
        for name, series in self._incident.telemetry.get(service, {}).items():
            meaning = self._channel_map(name)
            if meaning is not None and meaning.channel in _CHANGED and (points := known(series.incident)):
                age_s = points[-1] * meaning.scale
                if age_s < _RECENT_S:
                    text = f"{_CHANGED[meaning.channel]} {_ago(age_s)} ago"
                    told.append(Evidence(text, service, name))
        return told

    def _alerts(self, service: str) -> list[Evidence]:
        alerts = [alert for alert in self._incident.alerts if alert.service == service]
        if not alerts:
            return []
        alerts.sort(key=self._is_good)
        counts = Counter((alert.kind, *self._words(alert)) for alert in alerts)
        shown = [
            what if kind != "trace" else f"a {what}{whose}" if count == 1 else f"{count} {what}s{whose}"
            for (kind, what, whose), count in itertools.islice(counts.items(), 3)
        ]
        told = f"{len(alerts)} alert{'s' if len(alerts) > 1 else ''} of its own: {', '.join(shown)}"
        beside = self._beside(service)
        if beside:
            told += f"; in the same place of the graph {', '.join(beside)}"
        return [Evidence(told, service, alerts[0].name)]

    def _is_good(self, alert: AlertEvent) -> bool:
        """Whether an alert says nothing bad by itself."""
        meaning = self._channel_map(alert.name) if alert.kind == "metric" else None
        return meaning is not None and (meaning.channel in FLOW or alert.direction == meaning.good_direction)

    def _words(self, alert: AlertEvent) -> tuple[str, str]:
        """What an alert says and, of a call, who called and how it failed."""
        if alert.kind == "log":
            return f"log pattern {alert.name}", ""
        if alert.kind == "metric":
            return f"{alert.name} {alert.direction}" if alert.direction else alert.name, ""
        whose = ""
        if alert.caller is not None:
            known_as = alert.caller if alert.caller in self._names else "outside"
            whose = f" from {'itself' if alert.caller == alert.service else known_as}"
        if alert.direction == "PD":
            return "slow call", whose
        code = f" ({alert.direction})" if alert.direction and alert.direction.upper() != "ERROR" else ""
        return "failed call", whose + code

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._incident.services)

    def _surprises(self, service: str) -> list[Evidence]:
        """What the service seldom raises, whatever breaks: the most surprising sign."""
        if not self._habits or service not in self._raised:
            return []
        sign = self._habits.signs(service, self._raised[service])[0]
        if sign.past < _ENOUGH or sign.raised > _RARE * sign.past:
            return []
        text = f"unusual here: {sign.name}, in {sign.raised} of {sign.past} past incidents"
        return [Evidence(text, service, sign.name)]

    def _beside(self, service: str) -> list[str]:
        """How many alerts the replicas have, on a list of alerts: the three with the most."""
        services = self._incident.services
        if self._incident.telemetry:  # there is more to compare than alerts
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


def _of(move: Move, service: str) -> Evidence:
    return Evidence(move.sentence, service, move.metric)


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
