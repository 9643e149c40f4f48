"""Looks at the given telemetry: a service's metrics, its neighbours, and recent changes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from agent.investigation.observation import latest
from data.channels import Channel, ChannelMap
from data.incident import Incident, Series
from data.sources.recording import Whose
from data.words import few
from gnn.explain.units import amount, duration

_METRICS = 8  # of a service, those that changed most
_CALLS = 8  # of a service
_CALL_METRICS = 3
_NAMED = 6  # neighbours
_CHANGES = {
    Channel.DEPLOY_AGE: "deployed",
    Channel.CONFIG_AGE: "configuration changed",
    Channel.UPTIME: "process started",
}
_OWN_SHARE = 0.15  # share of the extra time up to which the service is not slow itself
_SLOWER = 0.3  # relative increase from which a service is slower
_FAILS = 0.01  # of the requests
_RECENT_S = 6 * 3600.0

Queries = Callable[[Whose, str], str]  # (service or call, metric) → the query that shows it


@dataclass(frozen=True)
class Shown:
    """An observation, and the query that shows it."""

    text: str
    about: tuple[str, ...]  # services
    query: str = ""

    @property
    def is_figure(self) -> bool:
        """Whether it only compares a metric's values before and now."""
        return " before, " in self.text or " at first, " in self.text


class TelemetryLooks:
    """Describes the telemetry of one incident."""

    def __init__(self, incident: Incident, channels: ChannelMap, queries: Queries) -> None:
        self._incident, self._channels, self._queries = incident, channels, queries

    async def metrics(self, service: str) -> list[Shown]:
        """The metrics of a service that changed most: before, now and at worst."""
        return list(
            self._figures(service, self._incident.telemetry.get(service, {}), "", (service,), _METRICS)
        )

    async def calls(self, service: str) -> list[Shown]:
        """Its callers and callees, and the measurements of these calls."""
        graph = self._incident.call_graph
        pairs = [(caller, service) for caller, callees in graph.items() if service in callees]
        pairs += [(service, callee) for callee in graph.get(service, ())]
        pairs = [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]
        callers = [caller for caller, callee in pairs if callee == service]
        callees = [callee for caller, callee in pairs if caller == service]
        shown = [
            Shown(
                f"{service} is called by {few(callers, _NAMED) or 'nobody'} and calls "
                f"{few(callees, _NAMED) or 'nobody'}",
                (service, *callers, *callees),
            )
        ]
        measured = sorted(pairs, key=lambda pair: -self._moved_most(pair))
        for pair in measured[:_CALLS]:
            told = self._incident.call_telemetry.get(pair, {})
            shown += self._figures(pair, told, f"calls from {pair[0]} to {pair[1]}: ", pair, _CALL_METRICS)
        return shown

    async def changes(self, service: str) -> list[Shown]:
        """Recent deployments, configuration changes and restarts."""
        shown = []
        for name, series in self._incident.telemetry.get(service, {}).items():
            meaning, age = self._channels(name), latest(series)
            if meaning is None or age is None or meaning.channel not in _CHANGES:
                continue
            age_s = age * meaning.scale
            if 0.0 <= age_s < _RECENT_S:
                text = (
                    f"{service}: {_CHANGES[meaning.channel]} {duration(age_s)} before the end of the window"
                )
                shown.append(Shown(text, (service,), self._queries(service, name)))
        return shown

    def only_waits(self, service: str) -> str | None:
        """Says in figures that a service is slow only because it waits; None if it is not so."""
        metrics = self._incident.telemetry.get(service, {})
        found = {meaning.channel: name for name in metrics if (meaning := self._channels(name)) is not None}
        own = found.get(Channel.OWN_LATENCY)
        whole = found.get(Channel.LATENCY_MID) or found.get(Channel.LATENCY_TAIL)
        error = found.get(Channel.ERROR)
        if own is None or whole is None:
            return None
        rose, own_rose = _risen(metrics[whole]), _risen(metrics[own])
        fails = 0.0 if error is None else _risen(metrics[error])
        is_slower = rose > _SLOWER * _usual(metrics[whole])
        if not (is_slower and own_rose <= _OWN_SHARE * rose and fails <= _FAILS):
            return None
        return (
            f"it only waits: {own} {self._figure(own, metrics[own])}, "
            f"while {whole} was {self._figure(whole, metrics[whole])}"
        )

    def _figures(
        self, whose: Whose, metrics: Mapping[str, Series], start: str, about: tuple[str, ...], most: int
    ) -> Iterator[Shown]:
        moved = sorted(metrics, key=lambda name: -_moved(metrics[name]))
        known = [name for name in moved if latest(metrics[name]) is not None and not self._is_age(name)]
        for name in known[:most]:
            told = self._figure(name, metrics[name])
            yield Shown(f"{start}{name} {told}", about, self._queries(whose, name))

    def _figure(self, name: str, series: Series) -> str:
        meaning = self._channels(name)
        largest = float(np.nanmax(series.incident))

        def words(value: float) -> str:
            return (
                f"{value:.3g}" if meaning is None else amount(value, name, meaning, meaning.scale_of(largest))
            )

        known = series.incident[np.isfinite(series.incident)]
        past = series.baseline[np.isfinite(series.baseline)]
        usual = float(np.median(past)) if len(past) else float(known[0])
        worst = float(known[np.argmax(np.abs(known - usual))])
        then, now = "before" if len(past) else "at first", words(float(known[-1]))
        farthest = "" if words(worst) == now else f", {words(worst)} at worst"
        return f"{words(usual)} {then}, {now} now{farthest}"

    def _is_age(self, name: str) -> bool:
        meaning = self._channels(name)
        return meaning is not None and meaning.channel in _CHANGES

    def _moved_most(self, pair: tuple[str, str]) -> float:
        return max(map(_moved, self._incident.call_telemetry.get(pair, {}).values()), default=0.0)


def _risen(series: Series) -> float:
    """The rise of a metric over its past, in its own unit; NaN if unknown."""
    known = series.incident[np.isfinite(series.incident)]
    return float(np.median(known)) - _usual(series) if len(known) else np.nan


def _usual(series: Series) -> float:
    past = series.baseline[np.isfinite(series.baseline)]
    return float(np.median(past)) if len(past) else np.nan


def _moved(series: Series) -> float:
    """The change of a metric from its past, relative to its spread and level."""
    known = series.incident[np.isfinite(series.incident)]
    past = series.baseline[np.isfinite(series.baseline)]
    if not len(known):
        return 0.0
    usual = float(np.median(past)) if len(past) else float(known[0])
    spread = 1.5 * float(np.median(np.abs(past - usual))) if len(past) else 0.0
    return float(np.median(np.abs(known - usual)) / (spread + 0.05 * abs(usual) + 1e-9))
