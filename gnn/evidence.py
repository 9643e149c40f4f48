"""Why a service is suspected, in plain sentences that a person or a model can check."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from statistics import median
from typing import NamedTuple

import numpy as np

from data.channels import Channel, ChannelMap, Meaning
from data.incident import Floats, Incident, Series
from gnn.deviation import AGES, SHARES, stack
from gnn.drift import DRIFTING, LATENCY, Mask, page_course, paged_channels, quiet_points
from gnn.habits import Habits, raised_in
from gnn.pieces import Piece
from gnn.robust import MAD_TO_SIGMA
from gnn.topology import calls_of
from gnn.twins import Twins, twins

_MOST = 4  # sentences a candidate
_NOTABLE = 3.0  # robust z from which a deviation is worth a sentence
_RECENT_S = 3600.0
_STAYS = 0.8  # of its worst deviation, beside a page that is quiet: drift rather than a symptom
_ENOUGH = 10  # past incidents that say what is unusual
_RARE = 0.1  # share of them up to which what is raised is worth a sentence
_CHANGED = {
    Channel.DEPLOY_AGE: "deployed",
    Channel.CONFIG_AGE: "configuration changed",
    Channel.UPTIME: "process started",
}
_MEASURED = frozenset(Channel) - AGES
_FELT = frozenset({Channel.ERROR, *LATENCY})
_UNWEIGHED: Mapping[Piece, float] = {}


class _Deviation(NamedTuple):
    fresh: bool  # no drift
    weight: float
    strength: float
    worse: bool
    sentence: str


def explain(
    incident: Incident,
    services: Sequence[str],
    channel_map: ChannelMap,
    weights: Mapping[Piece, float] = _UNWEIGHED,
    habits: Habits | None = None,
) -> dict[str, tuple[str, ...]]:
    """For each of `services` its evidence, strongest first, at most four sentences each.

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
        self._paging = incident.page.service if incident.page else None
        self._habits, self._raised = habits, raised_in(incident) if habits else {}
        self._usual: dict[str, tuple[float, float]] = {}
        self._hurt: dict[str, bool] = {}

    def evidence(self, service: str) -> tuple[str, ...]:
        """The sentences about one service."""
        deviations = sorted(self._deviations(service, _MEASURED), reverse=True)
        sentences = [deviation.sentence for deviation in deviations[:2]]
        sentences += self._changes(service) + self._alerts(service) + self._surprises(service)
        graph = self._incident.call_graph
        callers = [caller for caller, callees in graph.items() if service in callees and caller != service]
        hurt = [name for name in callers if self._is_hurt(name)]
        if hurt:
            also = f"{len(hurt)} of {len(callers)} callers are degraded too"
            sentences.append(f"{also}: {', '.join(hurt[:3])}")
        elif callers and not self._incident.telemetry.get(service):
            sentences.append(f"no metrics of its own; called by {', '.join(callers[:3])}")
        return tuple(sentences[:_MOST])

    def _deviations(self, service: str, channels: frozenset[Channel]) -> list[_Deviation]:
        found = []
        for name, series in self._incident.telemetry.get(service, {}).items():
            meaning = self._channel_map(name)
            if meaning is not None and meaning.channel in channels:
                weight = self._weights.get(Piece("channel", service, meaning.channel), 0.0)
                if (told := self._deviation(name, series, meaning)) is not None:
                    drifts = self._drifts(series, meaning)
                    also = f", much the same while {self._paging} is well" if drifts else ""
                    sentence = told.sentence + also
                    found.append(told._replace(fresh=not drifts, weight=weight, sentence=sentence))
        return found

    def _deviation(self, name: str, series: Series, meaning: Meaning) -> _Deviation | None:
        """What is told of a metric that deviates notably."""
        now, past = _known(series.incident), _known(series.baseline)
        if not now:
            return _told(_NOTABLE, True, f"{name} is no longer reported") if past else None
        bad = -1.0 if meaning.inverted else 1.0
        if len(past) >= 3:
            center, spread = _center_and_spread(past, meaning.channel)
            worst = max(now, key=lambda value: abs(value - center))
            z = (worst - center) / spread
            if abs(z) < _NOTABLE:
                return None
            # Only points on the side of the worst one count.
            far = math.copysign(_NOTABLE * spread, z)
            since = self._since(series, lambda value: (value - center) / far >= 1.0)
            change = f"{name} went from {center:.3g} to {worst:.3g}"
            deviations = f"({min(abs(z), 999):.0f} deviations)"
            return _told(abs(z), z * bad > 0, f"{change} {deviations}{since}")
        first, last = now[0], now[-1]
        spread = 0.1 * abs(first) + 1e-3
        z = (last - first) / spread
        if abs(z) >= _NOTABLE:
            since = self._since(series, lambda value: abs(value - first) / spread >= _NOTABLE)
            known = np.flatnonzero(np.isfinite(series.incident))
            ticks = f"in {known[-1] - known[0]} ticks"
            return _told(abs(z), z * bad > 0, f"{name} went from {first:.3g} to {last:.3g} {ticks}{since}")
        center, spread = self._peers(name, meaning.channel)
        z = bad * (last - center) / spread
        if z < _NOTABLE:
            return None
        since = self._since(series, lambda value: bad * (value - center) / spread >= _NOTABLE)
        return _told(z, True, f"{name} is {last:.3g} where its peers have {center:.3g}{since}")

    def _since(self, series: Series, deviates: Callable[[float], bool]) -> str:
        """Since which point a metric deviates, in words; nothing where there is only one point."""
        points = series.incident.tolist()
        onset = next((index for index, value in enumerate(points) if deviates(value)), None)
        if len(points) < 2 or onset is None:
            return ""
        seen = self._incident.observations
        if len(seen) != len(points):
            return f", since point {onset + 1} of {len(points)}"
        # The past before the first observation is not known.
        return f", since tick {seen[onset].sim_tick}" + (" or before" if onset == 0 else "")

    def _drifts(self, series: Series, meaning: Meaning) -> bool:
        """Whether a metric is nearly as far from its past while the paging service is well."""
        past, now = _known(series.baseline), _known(series.incident)
        calm = _known(series.incident[self._quiet[: len(series.incident)]]) if len(self._quiet) else []
        if meaning.channel not in DRIFTING or len(past) < 3 or not calm:
            return False
        center = median(past)
        worst = max(now, key=lambda value: abs(value - center))
        moved = median(calm) - center
        better = moved > 0 if meaning.inverted else moved < 0
        if better and meaning.channel is not Channel.TRAFFIC:
            return False
        return abs(moved) >= _STAYS * abs(worst - center) and moved * (worst - center) > 0

    @cached_property
    def _quiet(self) -> Mask:
        """The points at which the paging service is well, of a page that comes and goes: (T,) or empty."""
        page = self._incident.page
        if not page or page.service not in self._incident.services:
            return np.zeros(0, bool)
        row = self._incident.services.index(page.service)
        block = stack(self._incident, self._channel_map)
        return quiet_points(page_course(block, row, paged_channels(page)), page)

    def _peers(self, name: str, channel: Channel) -> tuple[float, float]:
        """Center and spread of the latest value of a metric among all services that have it."""
        if name not in self._usual:
            rows = (metrics.get(name) for metrics in self._incident.telemetry.values())
            latest = [last for row in rows if row and not math.isnan(last := _latest(row.incident))]
            self._usual[name] = _center_and_spread(latest, channel)
        return self._usual[name]

    def _changes(self, service: str) -> list[str]:
        sentences = []
        for name, series in self._incident.telemetry.get(service, {}).items():
            meaning = self._channel_map(name)
            if meaning is not None and meaning.channel in _CHANGED and (points := _known(series.incident)):
                age_s = points[-1] * meaning.scale
                if age_s < _RECENT_S:
                    sentences.append(f"{_CHANGED[meaning.channel]} {_ago(age_s)} ago")
        return sentences

    def _alerts(self, service: str) -> list[str]:
        names = [alert.name for alert in self._incident.alerts if alert.service == service]
        if not names:
            return []
        distinct = list(dict.fromkeys(names))
        told = f"{len(names)} alerts of its own: {', '.join(distinct[:3])}"
        beside = self._beside(service)
        return [f"{told}; in the same place of the graph {', '.join(beside)}" if beside else told]

    def _surprises(self, service: str) -> list[str]:
        """What the service seldom raises, whatever breaks: the most surprising sign."""
        if not self._habits or service not in self._raised:
            return []
        sign = self._habits.signs(service, self._raised[service])[0]
        if sign.past < _ENOUGH or sign.raised > _RARE * sign.past:
            return []
        return [f"unusual here: {sign.name}, in {sign.raised} of {sign.past} past incidents"]

    def _beside(self, service: str) -> list[str]:
        """How many alerts the twins have, on a list of alerts: the three with the most."""
        services = self._incident.services
        if self._incident.telemetry:  # twins say nothing to the ranker there
            return []
        counts = [
            (self._alert_counts[services[twin]], services[twin])
            for twin in self._twins.of(services.index(service))
        ]
        most = heapq.nsmallest(3, counts, key=lambda pair: (-pair[0], pair[1]))
        return [f"{count} at {name}" for count, name in most]

    @cached_property
    def _alert_counts(self) -> Counter[str]:
        return Counter(alert.service for alert in self._incident.alerts)

    @cached_property
    def _twins(self) -> Twins:
        return twins(calls_of(self._incident, {name: i for i, name in enumerate(self._incident.services)}))

    def _is_hurt(self, service: str) -> bool:
        if service not in self._hurt:
            traced = any(
                alert.service == service and alert.kind == "trace" for alert in self._incident.alerts
            )
            felt = self._deviations(service, _FELT)
            self._hurt[service] = traced or any(deviation.fresh and deviation.worse for deviation in felt)
        return self._hurt[service]


def _told(strength: float, worse: bool, sentence: str) -> _Deviation:
    return _Deviation(fresh=True, weight=0.0, strength=strength, worse=worse, sentence=sentence)


def _known(points: Floats) -> list[float]:
    values: list[float] = points.tolist()
    return [value for value in values if not math.isnan(value)]


def _latest(points: Floats) -> float:
    """The last point that is not missing; NaN when all are."""
    last = points.item(-1) if len(points) else math.nan
    return next(reversed(_known(points)), math.nan) if math.isnan(last) else last


def _center_and_spread(points: Sequence[float], channel: Channel) -> tuple[float, float]:
    # Both are exact; the one is quick for a handful of points, the other for thousands.
    middle = median if len(points) < 200 else np.median
    center = float(middle(points))
    mad = MAD_TO_SIGMA * float(middle([abs(value - center) for value in points]))
    return center, max(mad, 0.1 * abs(center), 0.01 if channel in SHARES else 1e-6)


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
