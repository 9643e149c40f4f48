"""Whether a metric has notably moved, for the worse or the better, and how that is said."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import IntEnum
from functools import cached_property
from statistics import median
from typing import NamedTuple

import numpy as np

from data.channels import Channel, ChannelMap, Meaning
from data.incident import Floats, Incident, Series
from gnn.features.deviation import AGES, SHARES, stack
from gnn.features.drift import DRIFTING, LATENCY, Mask, page_course, paged_channels, quiet_points
from gnn.features.nan_statistics import MAD_TO_SIGMA

MEASURED = frozenset(Channel) - AGES
# More or less of these is neither good nor bad by itself.
FLOW = frozenset({Channel.TRAFFIC, Channel.NETWORK_IN, Channel.NETWORK_OUT})

_NOTABLE = 3.0  # robust z from which a deviation is worth a sentence
_STAYS = 0.8  # of its worst deviation, beside a page that is quiet: drift rather than a symptom
_COUNTED = 999  # deviations up to which a sentence gives their number
_SHARE_FLOOR, _FLOOR = 0.005, 1e-6  # least spread, of a share and of anything else
_LARGEST = 999_000_000_000_000  # beyond this digits say nothing to a person
_CALM_LINES = 3.0  # that few of what a count is out of say little
# What was 0 has no scale of its own: deviations from there count up to this, of a share and of anything else.
_UNSCALED_SHARE, _UNSCALED = 1.0 / _SHARE_FLOOR, 10.0
_DURATIONS = frozenset({*LATENCY, Channel.OWN_LATENCY, Channel.CLIENT_LATENCY})
# Less of these is less of a load, and may as well be due to who no longer calls.
_LOAD = frozenset({Channel.CPU, Channel.MEMORY, Channel.SATURATION, Channel.DISK_IO})


class Turn(IntEnum):
    """Where a metric has moved; the greater is told first."""

    BETTER = 0
    OTHER = 1
    WORSE = 2


class Move(NamedTuple):
    """What is told of a metric; the greater is told first."""

    turn: Turn
    fresh: bool  # no drift
    weight: float
    strength: float
    sentence: str
    metric: str = ""


class Moves:
    """Reads the metrics of one incident; what several sentences need is looked up once."""

    def __init__(self, incident: Incident, channel_map: ChannelMap) -> None:
        self._incident, self._channel_map = incident, channel_map
        self._services = _Peers(incident.telemetry.values())
        self._calls = _Peers(incident.call_telemetry.values())

    def of_service(
        self, service: str, weigh: Callable[[Channel], float], channels: frozenset[Channel] = MEASURED
    ) -> list[Move]:
        """What has notably moved at a service.

        Args:
            service: a name.
            weigh: how much the ranker goes by a channel.
            channels: those that are asked about.
        """
        return self._of(self._incident.telemetry.get(service, {}), self._services, weigh, channels)

    def of_call(self, caller: str, callee: str, weight: float) -> list[Move]:
        """What has notably moved in the calls from one service to another."""
        metrics = self._incident.call_telemetry[caller, callee]
        return self._of(metrics, self._calls, lambda _: weight, MEASURED)

    def _of(
        self,
        metrics: Mapping[str, Series],
        peers: "_Peers",
        weigh: Callable[[Channel], float],
        channels: frozenset[Channel],
    ) -> list[Move]:
        found = []
        for name, series in metrics.items():
            meaning = self._channel_map(name)
            if meaning is None or meaning.channel not in channels:
                continue
            move = self._move(name, series, meaning, peers)
            if move is not None:
                if meaning.per and move.turn is Turn.WORSE and _only_busier(series, metrics, meaning):
                    move = move._replace(turn=Turn.OTHER)
                found.append(move._replace(weight=weigh(meaning.channel), metric=name))
        return found

    def _move(self, name: str, series: Series, meaning: Meaning, peers: "_Peers") -> Move | None:
        now, past = known(series.incident), known(series.baseline)
        if past and not any(past) and meaning.channel in _DURATIONS:
            # Nobody called: that is no past, and no presence either.
            series = Series(np.where(series.incident == 0.0, np.nan, series.incident))
            now, past = known(series.incident), []
        if not now:
            gone = f"{name} is no longer reported"
            return Move(Turn.WORSE, True, 0.0, _NOTABLE, gone) if past else None
        if len(past) >= 3:
            return self._from_past(name, series, meaning, now, past)
        moved = self._from_start(name, series, meaning, now)
        if moved is not None and (moved.turn is Turn.WORSE or meaning.channel not in SHARES):
            return moved
        # A share that is bad beside its peers is bad although it was worse before.
        return self._from_peers(name, series, meaning, now[-1], peers) or moved

    def _from_past(
        self, name: str, series: Series, meaning: Meaning, now: list[float], past: list[float]
    ) -> Move | None:
        """Against its own healthy past; what got worse does not hide behind what got better."""
        center, spread = _center_and_spread(past, meaning)
        if 2 * past.count(0.0) > len(past):  # the spread counts none of the other points
            spread = max(spread, math.hypot(*past) / math.sqrt(len(past)))
        high, low = max(now), min(now)
        rose, fell = high - center >= _NOTABLE * spread, center - low >= _NOTABLE * spread
        if not (rose or fell):
            return None
        if rose and fell:
            rose = high - center > center - low if meaning.channel in FLOW else not meaning.inverted
        worst = high if rose else low
        z = (worst - center) / spread
        # Only points on the side of the worst one count.
        far = math.copysign(_NOTABLE * spread, z)
        since = self._since(series, lambda value: (value - center) / far >= 1.0)
        if center == 0.0 and not any(past):
            how = " (0 throughout before)"
        else:
            how = f" ({abs(z):.0f} deviations)" if abs(z) <= _COUNTED else f" (over {_COUNTED} deviations)"
        move = _moved(name, meaning, center, worst, z, how, since)
        if not self._drifts(series, meaning, center, worst):
            return move
        paging = self._incident.page.service if self._incident.page else None
        return move._replace(fresh=False, sentence=f"{move.sentence}, much the same while {paging} is well")

    def _from_start(self, name: str, series: Series, meaning: Meaning, now: Sequence[float]) -> Move | None:
        """Against the first point of the incident."""
        first, last = now[0], now[-1]
        spread = 0.1 * abs(first) + 1e-3
        z = (last - first) / spread
        if abs(z) < _NOTABLE:
            return None
        since = self._since(series, lambda value: abs(value - first) / spread >= _NOTABLE)
        there = np.flatnonzero(np.isfinite(series.incident))
        ticks = int(there[-1] - there[0])
        how = f" in {ticks} tick{'s' if ticks > 1 else ''}"
        return _moved(name, meaning, first, last, z, how, since)

    def _from_peers(
        self, name: str, series: Series, meaning: Meaning, last: float, peers: "_Peers"
    ) -> Move | None:
        """Against the latest values of its peers, in the bad direction only."""
        center, spread = peers.usual(name, meaning)
        bad = -spread if meaning.inverted else spread
        z = (last - center) / bad
        if z < _NOTABLE:
            return None
        since = self._since(series, lambda value: (value - center) / bad >= _NOTABLE)
        sentence = f"{name} is {_number(last)} where its peers have {_number(center)}"
        turn = Turn.OTHER if meaning.channel in FLOW else Turn.WORSE
        return Move(turn, True, 0.0, _strength(z, center, meaning), f"{sentence}{since and ', '}{since}")

    def _since(self, series: Series, deviates: Callable[[float], bool]) -> str:
        """Since which point a metric deviates, in words; nothing where there is only one point."""
        points = series.incident.tolist()
        if len(points) < 2:
            return ""
        onset = next((index for index, value in enumerate(points) if deviates(value)), None)
        if onset is None:
            return ""
        seen = self._incident.observations
        if len(seen) != len(points):
            return f"since point {onset + 1} of {len(points)}"
        # The past before the first observation is not known.
        return f"since tick {seen[onset].sim_tick}" + (" or before" if onset == 0 else "")

    def _drifts(self, series: Series, meaning: Meaning, center: float, worst: float) -> bool:
        """Whether a metric is nearly as far from its past while the paging service is well."""
        if meaning.channel not in DRIFTING or not len(self._quiet):
            return False
        points = series.incident[: len(self._quiet)]
        calm = known(points[self._quiet[: len(points)]])
        if not calm:
            return False
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


class _Peers:
    """What is usual for a metric among all that have it, services or calls."""

    def __init__(self, rows: Collection[Mapping[str, Series]]) -> None:
        self._rows = rows
        self._usual: dict[str, tuple[float, float]] = {}

    def usual(self, name: str, meaning: Meaning) -> tuple[float, float]:
        """Center and spread of the latest value of a metric."""
        if name not in self._usual:
            rows = (metrics.get(name) for metrics in self._rows)
            latest = [last for row in rows if row and not math.isnan(last := _latest(row.incident))]
            self._usual[name] = _center_and_spread(latest, meaning)
        return self._usual[name]


def _moved(name: str, meaning: Meaning, start: float, end: float, z: float, how: str, since: str) -> Move:
    """What is told of a metric that went from `start` to `end`."""
    strength = _strength(abs(z), start, meaning)
    if meaning.channel in FLOW:
        turn = Turn.OTHER
    elif (z > 0) != meaning.inverted:
        turn = Turn.WORSE
    else:
        turn = Turn.OTHER if meaning.channel in _LOAD else Turn.BETTER
    path = f"from {_number(start)} to {_number(end)}"
    if turn is not Turn.BETTER:
        return Move(turn, True, 0.0, strength, f"{name} went {path}{how}{since and ', '}{since}")
    improved = f"{name} {'rose' if z > 0 else 'fell'} {path}, an improvement"
    return Move(turn, True, 0.0, strength, f"{improved}{since and ' '}{since}")


def _strength(z: float, start: float, meaning: Meaning) -> float:
    if start != 0.0:
        return z
    return min(z, _UNSCALED_SHARE if meaning.channel in SHARES else _UNSCALED)


def _only_busier(series: Series, metrics: Mapping[str, Series], meaning: Meaning) -> bool:
    """Whether a count has grown no faster than what it is out of, where that is measured."""
    whole = metrics.get(meaning.per)
    if whole is None:
        return False
    now, past = (
        sum(known(count)) / (sum(known(of)) + _CALM_LINES)
        for count, of in ((series.incident, whole.incident), (series.baseline, whole.baseline))
    )
    return now - past <= meaning.floor


def known(points: Floats) -> list[float]:
    """The points that are not missing."""
    values: list[float] = points.tolist()
    return [value for value in values if not math.isnan(value)]


def _latest(points: Floats) -> float:
    """The last point that is not missing; NaN when all are."""
    last = points.item(-1) if len(points) else math.nan
    return next(reversed(known(points)), math.nan) if math.isnan(last) else last


def _center_and_spread(points: Sequence[float], meaning: Meaning) -> tuple[float, float]:
    # Both are exact; the one is quick for a handful of points, the other for thousands.
    middle = median if len(points) < 200 else np.median
    center = float(middle(points))
    mad = MAD_TO_SIGMA * float(middle([abs(value - center) for value in points]))
    floor = _SHARE_FLOOR if meaning.channel in SHARES else _FLOOR
    if meaning.floor and not meaning.per:
        floor = meaning.floor
    unit = 1.0 / meaning.scale_of(max(points, default=0.0))
    # Of what should be all, it is the rest that counts: 0.1 % is missing, not 99.9 % there.
    size = unit - center if meaning.inverted and meaning.channel in SHARES and center <= unit else center
    return center, max(mad, 0.1 * abs(size), floor * unit)


def _number(value: float) -> str:
    """Three significant digits, for people: 5,620 and 0.0000123 rather than 5.62e+03 and 1.23e-05."""
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    rounded = float(text)
    if abs(rounded) > _LARGEST:
        return f"{'over ' if value > 0 else 'under -'}{_LARGEST:,}"
    return f"{rounded:,.0f}" if abs(rounded) >= 1.0 else f"{rounded:z.9f}".rstrip("0").rstrip(".")
