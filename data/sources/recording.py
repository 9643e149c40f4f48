"""Collects evidence with each value at its own time, and turns it into an incident.

Every reader of files and every live query fills a `Recording`; `incident_of` brings it onto one grid.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from data.arrays import Floats
from data.channels import ChannelMap, default_channel_map
from data.errors import SettingsError
from data.incident import AlertEvent, Incident, Page, Series
from data.observation import LARGEST
from data.sources.alignment import Piece, Pieces, aligned, natural_step
from data.sources.onset import change_in
from data.sources.room import Room
from data.sources.times import iso_time

# Names of callers outside of the system, or of what it could not name.
NOBODY = frozenset({"", "unknown", "user", "-"})

_MOST_POINTS = 60  # of an incident; finer measurements are averaged, which reduces noise
_MOST_PAST = 240  # points before it that are kept
_MOST_SEARCHED = 600  # points in which to look for the beginning
_PIECE_BYTES = 400  # of a piece of a series, besides its points
_FEWEST = 8  # points with which a beginning can be found


Whose = str | tuple[str, str]  # a service, or the caller and callee of a call


class Recording:
    """Collects what several sources report about one period; `incident_of` turns it into an incident.

    Values that cannot be calculated with count as missing. Times are Unix seconds.
    """

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room("values")
        self.services: dict[str, Pieces] = {}
        self.calls: dict[tuple[str, str], Pieces] = {}
        self.call_graph: dict[str, dict[str, None]] = {}
        self.alerts: dict[AlertEvent, float | None] = {}  # when each began
        self.routines: dict[AlertEvent, float] = {}
        self.owners: dict[str, str] = {}
        self.first_page: Page | None = None
        self.notes: list[str] = []
        self.at: float | None = None  # when the incident began, where a source says so
        self.incident_id = self.system = self.fault = ""
        self.root_causes: tuple[str, ...] = ()

    def series(
        self, whose: Whose, metric: str, times_s: Sequence[float] | Floats, values: Sequence[float] | Floats
    ) -> None:
        """Adds values of a metric of a service or call, in any order."""
        self._room.take(_PIECE_BYTES + 16 * len(times_s))
        times, numbers = np.asarray(times_s, dtype=float), np.asarray(values, dtype=float)
        usable = np.isfinite(times) & (np.abs(times) < 1e12) & (np.abs(numbers) <= LARGEST)
        if not usable.all():
            times, numbers = times[usable], numbers[usable]
        self._pieces(whose, metric).append((times, numbers))

    def table(self, metric: str, whose: Iterable[Whose], times_s: Floats, values: Floats) -> None:
        """One metric of many services or calls at the same times: (N, T), NaN where there is none."""
        usable = np.where(np.abs(values) <= LARGEST, values, np.nan)
        for one, row in zip(whose, usable, strict=True):
            self._pieces(one, metric).append((times_s, row))

    def _pieces(self, whose: Whose, metric: str) -> list[Piece]:
        if isinstance(whose, str):
            return self.services.setdefault(whose, {}).setdefault(metric, [])
        self.call(*whose)
        return self.calls.setdefault(whose, {}).setdefault(metric, [])

    def call(self, caller: str, callee: str) -> None:
        """There are calls from `caller` to `callee`."""
        self.call_graph.setdefault(caller, {}).setdefault(callee)

    def alert(self, event: AlertEvent, time_s: float | None = None) -> None:
        """Adds an alert, raised at `time_s` if that is known; of several times the first counts."""
        known = self.alerts.get(event)
        self.alerts[event] = time_s if known is None or (time_s is not None and time_s < known) else known

    def page(self, service: str, metric: str | None = None) -> None:
        """Sets what paged someone; the first page counts."""
        self.first_page = self.first_page or Page(service, metric)

    def note(self, text: str) -> None:
        """Adds a note for the user, unless it is there already."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def names(self) -> tuple[str, ...]:
        """Every service that has calls or values, callers first."""
        names = dict.fromkeys(self.call_graph)
        names.update(dict.fromkeys(callee for callees in self.call_graph.values() for callee in callees))
        names.update(dict.fromkeys(self.services))
        return tuple(names)

    def span(self) -> tuple[float | None, float | None]:
        """The times of the first and of the last value."""
        # Series that were told together share their times.
        times = {id(times): times for pieces in self.all_pieces() for times, _ in pieces if len(times)}
        if not times:
            return None, None
        return min(float(t.min()) for t in times.values()), max(float(t.max()) for t in times.values())

    def all_pieces(self) -> Iterable[list[Piece]]:
        """The pieces of every metric of services and calls."""
        for of in (self.services, self.calls):
            for metrics in of.values():
                yield from metrics.values()


def incident_of(
    recording: Recording,
    at: float | None = None,
    window_s: float | None = None,
    baseline_s: float | None = None,
    step_s: float | None = None,
    incident_id: str = "",
    system: str = "",
    channel_map: ChannelMap | None = None,
) -> Incident:
    """Aligns what was recorded to one incident; notes for the user are added to `recording`.

    Args:
        at: when the incident began, Unix seconds. None: as a source says, else detected.
        window_s: seconds of it from there. None: to the end.
        baseline_s: seconds of healthy past. None: all there is, of long ones the end.
        step_s: seconds between two points. None: as most series have it, coarser for a long incident.

    Raises:
        SettingsError: everything was recorded before `at`.
    """
    first, last = recording.span()
    services = _services(recording)
    telemetry: dict[str, dict[str, Series]] = {}
    calls: dict[tuple[str, str], dict[str, Series]] = {}
    start = at if at is not None else recording.at
    step = step_s
    if first is None or last is None:
        recording.note("There are no metrics, only names, calls and alerts.")
    else:
        natural = step_s or natural_step(recording.all_pieces())
        if start is None:
            start = _found(recording, first, last, natural, channel_map or default_channel_map())
        elif start > last:
            raise SettingsError(
                f"--at {iso_time(start)}: the last value is from {iso_time(last)} – give an earlier time"
            )
        elif start <= first:
            recording.note(f"There is no data from before {iso_time(start)} to compare with.")
        end = min(last, start + window_s) if window_s else last
        step = step_s or natural * max(int(np.ceil((end - start) / natural / _MOST_POINTS)), 1)
        n = int((end - start) / step) + 1
        past = min(baseline_s or start - first, start - first)
        n0 = max(int(np.ceil(past / step)), 0)
        n0 = n0 if baseline_s else min(n0, _MOST_PAST)
        telemetry = {service: {} for service in recording.services}
        for service, metric, series in aligned(recording.services, start, step, n0, n):
            telemetry[service][metric] = series
        calls = {pair: {} for pair in recording.calls}
        for pair, metric, series in aligned(recording.calls, start, step, n0, n):
            calls[pair][metric] = series
    return Incident(
        incident_id=incident_id or recording.incident_id,
        services=services,
        call_graph={caller: tuple(callees) for caller, callees in recording.call_graph.items()},
        telemetry=telemetry,
        call_telemetry={pair: metrics for pair, metrics in calls.items() if metrics},
        alerts=tuple(recording.alerts),
        page=recording.first_page,
        system=system or recording.system,
        owners={name: owner for name, owner in recording.owners.items() if name in services},
        start_s=start,
        step_s=step,
        routine=recording.routines,
        root_causes=recording.root_causes,
        fault=recording.fault,
    )


def _services(recording: Recording) -> tuple[str, ...]:
    """All that can be ranked; a note names those that only an alert or the page mentions."""
    names = dict.fromkeys(recording.names)
    alerted = {event.service: f"the alert '{event.name}'" for event in recording.alerts}
    if recording.first_page:
        alerted.setdefault(recording.first_page.service, "the page")
    if names:
        for service, what in alerted.items():
            if service not in names:
                recording.note(f"Only {what} names '{service}': it has no calls and no metrics.")
    return tuple({**names, **dict.fromkeys(alerted)})


def _found(recording: Recording, first: float, last: float, natural: float, channels: ChannelMap) -> float:
    """When the symptoms change, with a note about it."""
    step = max(natural, (last - first) / _MOST_SEARCHED)
    n = int((last - first) / step) + 1
    if n < _FEWEST:
        recording.note(
            f"{n} points are too few to tell when the incident began, so all of them count as the incident. "
            "Set the time with --at."
        )
        return first
    found = change_in((recording.services, recording.calls), first, step, n, channels)
    if found is None:
        start = first + (n - max(n // 4, 1)) * step
        recording.note(
            "Errors and latencies do not change. What follows is compared with what precedes "
            f"{iso_time(start)}. Set another time with --at."
        )
        return start
    recording.note(f"The incident seems to begin at {iso_time(found)}. Set another time with --at.")
    return found


def begun_since(recording: Recording, since_s: float, channel_map: ChannelMap) -> float:
    """When the symptoms change, if that is after `since_s`; else `since_s`."""
    first, last = recording.span()
    if first is None or last is None:
        return since_s
    step = max(natural_step(recording.all_pieces()), (last - first) / _MOST_SEARCHED)
    n = int((last - first) / step) + 1
    found = change_in((recording.services, recording.calls), first, step, n, channel_map)
    if found is None or not since_s < found <= last:
        return since_s
    recording.note(f"The incident seems to begin at {iso_time(found)}.")
    return found
