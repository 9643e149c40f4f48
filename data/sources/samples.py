"""Metrics with a monitoring system's names and labels; counters become rates on one grid.

Shapes: N grid points.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from data.arrays import Floats
from data.sources.alignment import Piece, natural_step
from data.sources.conventions import INFRASTRUCTURE, POD, Match
from data.sources.room import Room

Labels = Mapping[str, str]

_MOST_POINTS = 2000
_SERIES_BYTES, _PIECE_BYTES = 1000, 300  # of one of each, besides its points
_WINDOW_S, _MOST_SCRAPES = 60.0, 4  # over which a rate is taken
# A replica's name: that of its workload, then what a ReplicaSet, StatefulSet or DaemonSet adds.
_REPLICA = re.compile(r"(.+?)(?:-[a-f0-9]{6,10}-[a-z0-9]{5}|-\d+|-[bcdfghjklmnpqrstvwxz2456789]{5})")
_ADDRESS = re.compile(r"[\d.:]+|\[[0-9a-f:]+\](:\d+)?|localhost(:\d+)?")


class Sample(NamedTuple):
    """One series: its labels, and its values at their times."""

    labels: Labels
    pieces: list[Piece]


class Samples:
    """Collects series from any number of answers and scrapes."""

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room("metrics")
        self._by_name: dict[str, dict[tuple[tuple[str, str], ...], Sample]] = {}
        self.workloads: dict[str, str] = {}  # {pod or replica set: its workload}

    def add(self, name: str, labels: Labels, times_s: Sequence[float], values: Sequence[float]) -> None:
        """Adds values of one series; dots in names and labels become underscores."""
        plain = {re.sub(r"[.\-/]", "_", label): value for label, value in labels.items()}
        same = self._by_name.setdefault(re.sub(r"[.\-/]", "_", name), {})
        key = tuple(sorted(plain.items()))
        if key not in same:
            self._room.take(_SERIES_BYTES)
        self._room.take(_PIECE_BYTES + 16 * len(times_s))
        sample = same.get(key) or same.setdefault(key, Sample(plain, []))
        times, numbers = np.asarray(times_s, dtype=float), np.asarray(values, dtype=float)
        usable = np.isfinite(times) & np.isfinite(numbers)
        if usable.any():
            sample.pieces.append((times[usable], numbers[usable]))

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric's name."""
        return tuple(self._by_name)

    def named(self, pattern: str) -> Iterator[tuple[str, Sample]]:
        """The series of metrics whose whole name matches `pattern`, with the name."""
        if pattern in self._by_name:
            yield from ((pattern, sample) for sample in self._by_name[pattern].values())
            return
        for name, same in self._by_name.items():
            if _is(pattern, name):
                yield from ((name, sample) for sample in same.values())

    def service(self, labels: Labels, of: Iterable[str]) -> str | None:
        """The service of a series, by the first usable label in `of`; for a pod, its workload."""
        for label in of:
            value = labels.get(label, "")
            if label in POD:
                value = self.workload(value)
            elif label.endswith("job") or label == "service":
                value = value.rpartition("/")[2]  # a namespace before it
            if value and not _is(INFRASTRUCTURE, value) and not _ADDRESS.fullmatch(value):
                return value.partition(":")[0] if label.endswith(("instance", "address")) else value
        return None

    def workload(self, pod: str) -> str:
        """The workload of a pod."""
        owner = self.workloads.get(pod)
        if owner is not None:
            return self.workloads.get(owner, owner)
        found = _REPLICA.fullmatch(pod)
        return found[1] if found else pod

    def grid(self) -> "Grid | None":
        """A grid over the times of all series; None without any value."""
        pieces = [s.pieces for same in self._by_name.values() for s in same.values() if s.pieces]
        if not pieces:
            return None
        first = min(float(times.min()) for several in pieces for times, _ in several)
        last = max(float(times.max()) for several in pieces for times, _ in several)
        step = max(natural_step(pieces), (last - first) / _MOST_POINTS)
        steps = min(max(round(_WINDOW_S / step), 1), _MOST_SCRAPES, max(int((last - first) / step + 1e-6), 1))
        return Grid(first, last, step, steps * step)


@dataclass(frozen=True)
class Grid:
    """Evenly spaced times to which all series are aligned, and the window of rates."""

    start_s: float
    end_s: float
    step_s: float
    rate_s: float

    @cached_property
    def times_s(self) -> Floats:
        """(N,) Unix seconds."""
        n = int((self.end_s - self.start_s) / self.step_s + 1e-6) + 1
        return np.asarray(self.start_s + self.step_s * np.arange(n), dtype=float)

    @property
    def n(self) -> int:
        """How many."""
        return len(self.times_s)

    def values(self, sample: Sample) -> Floats:
        """A gauge, each value held for as long as a scrape may be late; NaN where it is gone: (N,)."""
        times, values = _joined(sample.pieces)
        if not len(times):
            return np.full(self.n, np.nan)
        last = np.searchsorted(times, self.times_s + self.step_s / 2, "right") - 1
        age = self.times_s - times[last]
        held = max(1.5 * self.step_s, 1.5 * float(np.median(np.diff(times))) if len(times) > 1 else 0.0)
        return np.where((last >= 0) & (age <= held), values[last], np.nan)

    def rate(self, sample: Sample) -> Floats:
        """A counter's growth per second, restarts apart; NaN where it is gone or not yet there: (N,)."""
        times, values = _joined(sample.pieces)
        if len(times) < 2 and not (len(times) and times[0] > self.start_s + self.step_s):
            return np.full(self.n, np.nan)
        grown = np.diff(values)
        total = np.concatenate([[0.0], np.cumsum(np.where(grown >= 0, grown, values[1:]))])
        grid = self.times_s
        is_new = times[0] > grid[0] + 1.5 * self.step_s
        if is_new:  # it counted from zero
            total = total + values[0]
        # Scraped a little before or after a point of the grid: it goes on for one step as it went.
        gaps, slopes = (np.diff(times), np.diff(total)) if len(times) > 1 else ([self.step_s], [0.0])
        x = np.concatenate([[times[0] - gaps[0]], times, [times[-1] + gaps[-1]]])
        y = np.concatenate([[total[0] - slopes[0]], total, [total[-1] + slopes[-1]]])
        if is_new:
            x[0], y[0] = times[0] - self.step_s, 0.0
        at = np.interp(grid, x, y)
        ago = np.maximum(np.arange(self.n) - round(self.rate_s / self.step_s), 0)
        span = (np.arange(self.n) - ago) * self.step_s
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = (at - at[ago]) / span
        rate[(grid < x[0] - 1e-6) | (grid > x[-1] + 0.5 * self.step_s)] = np.nan
        return np.asarray(rate)


def added(rows: Iterable[Floats], n: int) -> Floats:
    """The sum of several series without missing values; NaN where all are missing: (N,)."""
    total, there = np.zeros(n), np.zeros(n, dtype=bool)
    for row in rows:
        known = np.isfinite(row)
        total[known] += row[known]
        there |= known
    return np.where(there, total, np.nan)


def meets(labels: Labels, conditions: Iterable[Match]) -> bool:
    """Whether labels meet the conditions; conditions on missing labels are ignored."""
    return all(matches(labels[label], sign, value) for label, sign, value in conditions if label in labels)


def matches(value: str, sign: str, wanted: str) -> bool:
    """One condition of PromQL."""
    found = _is(wanted, value) if "~" in sign else value == wanted
    return found != sign.startswith("!")


@lru_cache(maxsize=1 << 14)
def _is(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def _joined(pieces: Sequence[Piece]) -> Piece:
    """All values in order of time, one per time."""
    if not pieces:
        return np.empty(0), np.empty(0)
    times = np.concatenate([times for times, _ in pieces])
    times, index = np.unique(times, return_index=True)
    return times, np.concatenate([values for _, values in pieces])[index]


# Labels that name what an alert is about, most reliable first; who detected it, as in `job`, comes last.
ABOUT = (
    "service_name", "deployment", "statefulset", "daemonset", "workload", "destination_workload",
    "destination_service_name", "app_kubernetes_io_name", "app", "application", "exported_service",
    "k8s_deployment_name", "pod", "exported_job", "service", "container", "job", "instance",
)  # fmt: skip


def alerted_service(labels: Mapping[str, str], samples: Samples) -> str | None:
    """The service that an alert with these labels is about, or None."""
    plain = {label.replace(".", "_").replace("-", "_"): value for label, value in labels.items()}
    return samples.service(plain, ABOUT)
