"""Windows in which a real system was healthy, and how to split them into baseline and incident.

Shapes: S services, L points of a series.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.arrays import Bools, Floats
from data.channels import Channel, ChannelMap, default_channel_map
from data.incident import Incident, Series

Rows = Mapping[str, Floats]  # {metric: (L,)}, NaN where missing

_PASTS, _MOST = (6, 10, 20, 30, 30, 60), 10  # points of a baseline, and most points of an incident
_SHARE_AT_MOST = 2.0  # larger values are not shares, but bytes, millicores or counts


@dataclass(frozen=True)
class Kind:
    """The kind of values that one metric has across the system."""

    is_share: bool  # of a whole, 0..1 in our unit
    typical: float  # a large everyday value in its own unit, above 0
    scale: float = 1.0  # the factor to our unit


@dataclass(frozen=True, eq=False)
class HealthyWindow:
    """A window in which a system was healthy."""

    incident: Incident  # the source; only its services, call graph and system are used
    telemetry: tuple[Rows, ...]  # (S,)
    calls: Mapping[tuple[str, str], Rows]  # (caller, callee)
    kinds: Mapping[str, Kind]
    latency: Floats  # (S,) usual, relative to the median service; NaN if not measured
    cpu: Floats  # (S,) usual share; NaN if not measured as a share
    memory: Floats  # (S,) likewise
    idle: Bools  # (S,) measured, but without requests most of the time
    longest: int  # points of its longest series


def healthy_windows(
    incidents: Iterable[Incident], channel_map: ChannelMap | None = None
) -> tuple[HealthyWindow, ...]:
    """The healthy part of each incident: its baseline, or all of it if nothing was broken.

    Incidents without two consecutive healthy points of any known metric are left out.
    """
    means = channel_map or default_channel_map()
    found = (_window(incident, means) for incident in incidents)
    return tuple(window for window in found if window is not None)


def _window(incident: Incident, means: ChannelMap) -> HealthyWindow | None:
    whole = not incident.root_causes

    def points(metrics: Mapping[str, Series]) -> dict[str, Floats]:
        own = {
            name: np.concatenate([series.baseline, series.incident]) if whole else series.baseline
            for name, series in metrics.items()
        }
        return {name: values for name, values in own.items() if np.isfinite(values).any()}

    telemetry = tuple(points(incident.telemetry.get(name, {})) for name in incident.services)
    known = [values for row in telemetry for name, values in row.items() if means(name) is not None]
    longest = max(map(len, known), default=0)
    if longest < 2:
        return None
    calls = {pair: points(metrics) for pair, metrics in incident.call_telemetry.items()}
    kinds = _kinds((*telemetry, *calls.values()), means)
    latency = _levels(telemetry, means, kinds, (Channel.LATENCY_TAIL, Channel.LATENCY_MID))
    middle = np.nanmedian(latency) if np.isfinite(latency).any() else 1.0
    shares = {name for name, kind in kinds.items() if kind.is_share}
    traffic = _levels(telemetry, means, kinds, (Channel.TRAFFIC,))
    return HealthyWindow(
        incident=incident,
        telemetry=telemetry,
        calls=calls,
        kinds=kinds,
        latency=latency / middle if middle > 0.0 else np.full(len(latency), np.nan),
        cpu=_levels(telemetry, means, kinds, (Channel.CPU,), shares),
        memory=_levels(telemetry, means, kinds, (Channel.MEMORY,), shares),
        idle=traffic <= 0.0,
        longest=longest,
    )


def _kinds(rows: Sequence[Rows], means: ChannelMap) -> dict[str, Kind]:
    everywhere: defaultdict[str, list[Floats]] = defaultdict(list)
    for row in rows:
        for name, values in row.items():
            everywhere[name].append(values[np.isfinite(values)])
    kinds = {}
    for name, parts in everywhere.items():
        values = np.abs(np.concatenate(parts))
        meaning = means(name)
        scale = meaning.scale_of(float(values.max())) if meaning else 1.0
        typical = float(np.quantile(values, 0.95))
        is_share = bool(values.max() * scale <= _SHARE_AT_MOST)
        kinds[name] = Kind(is_share, typical if typical > 0.0 else 1.0, scale)
    return kinds


def _levels(
    telemetry: Sequence[Rows],
    means: ChannelMap,
    kinds: Mapping[str, Kind],
    channels: Sequence[Channel],
    among: set[str] | None = None,
) -> Floats:
    """The usual values, in our unit, of the most common metric of the first channel that has any.  → (S,)"""
    counts: defaultdict[Channel, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in telemetry:
        for name in row:
            meaning = means(name)
            usable = meaning is not None and not meaning.inverted and (among is None or name in among)
            if usable and meaning is not None and meaning.channel in channels:
                counts[meaning.channel][name] += 1
    for channel in channels:
        if names := counts[channel]:
            best = max(sorted(names), key=lambda name: names[name])
            scale = kinds[best].scale
            return np.array([scale * np.nanmedian(row[best]) if best in row else np.nan for row in telemetry])
    return np.full(len(telemetry), np.nan)


@dataclass(frozen=True)
class WindowSlice:
    """A part of a window and its split into baseline and incident, as shares of the window's length."""

    start: float
    split: float
    end: float
    points: int  # of the incident, in the longest series

    @staticmethod
    def draw(rng: np.random.Generator, longest: int) -> "WindowSlice":
        """Draws a baseline and an incident within a window of `longest` points (at least 2)."""
        points = min(int(rng.integers(1, _MOST + 1)), max(1, longest // 3))
        past = min(int(rng.choice(_PASTS)), longest - points)
        start = int(rng.integers(longest - past - points + 1))
        return WindowSlice(
            start / longest, (start + past) / longest, (start + past + points) / longest, points
        )

    def of(self, points: int) -> tuple[int, int, int]:
        """Start, split and end in a series of this many points; with two or more, neither side is empty."""
        end = min(max(round(self.end * points), 2), points)
        split = min(max(round(self.split * points), 1), end - 1)
        return min(round(self.start * points), max(split - 1, 0)), max(split, 0), end
