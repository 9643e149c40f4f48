"""Turns spans into series of services and calls; only durations are used, because hosts' clocks differ."""

from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from data.arrays import Floats, Ints
from data.sources.recording import NOBODY, Recording
from data.sources.room import Room

_MOST_OPEN = 200_000  # spans kept while the rest of their trace may still arrive
_ENTRIES = frozenset({"server", "consumer"})
_EXITS = frozenset({"client", "producer"})
_STEP_S, _POINTS = 60.0, 40  # between two points; less for a short time

_SPAN_BYTES, _NAME_BYTES = 50, 2000  # memory of a span, and of a service or call
_MOST_POINTS = 5000  # whatever times a file holds


class Span(NamedTuple):
    """One span, whatever wrote it."""

    trace: str
    id: str
    parent: str
    service: str
    name: str
    kind: str  # server, client, producer, consumer, internal, or "" if unknown
    start_s: float
    duration_s: float
    is_error: bool
    peer: str = ""  # the callee of a client's span, if it knows


class SpanTimes:
    """Times, durations and failures of similar spans."""

    def __init__(self) -> None:
        self.times, self.durations, self.failed = array("d"), array("d"), array("b")

    def add(self, span: Span, duration_s: float | None = None) -> None:
        """Adds a span, with its own duration or `duration_s`."""
        self.times.append(span.start_s)
        self.durations.append(span.duration_s if duration_s is None else duration_s)
        self.failed.append(span.is_error)


class Spans:
    """Collects spans in any order; only numbers, and the spans of unfinished traces, are kept in memory."""

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room("traces and logs")
        self._open: OrderedDict[str, list[Span]] = OrderedDict()
        self._n_open = 0
        self._served: defaultdict[str, SpanTimes] = defaultdict(SpanTimes)
        self._own: defaultdict[str, SpanTimes] = defaultdict(SpanTimes)  # without the time spent on calls
        self._sent: defaultdict[tuple[str, str], SpanTimes] = defaultdict(SpanTimes)  # as the caller sees it
        self._received: defaultdict[tuple[str, str], SpanTimes] = defaultdict(SpanTimes)  # as the callee does
        self._gaps: defaultdict[tuple[str, str], SpanTimes] = defaultdict(SpanTimes)
        self._lost: defaultdict[tuple[str, str, str], SpanTimes] = defaultdict(SpanTimes)  # …, name, peer
        self._logs: defaultdict[str, SpanTimes] = defaultdict(SpanTimes)
        self._callee_of: dict[tuple[str, str], str] = {}  # service and name of a call: who answered it

    def add(self, span: Span) -> None:
        """Adds a span."""
        self._room.take(_SPAN_BYTES)
        trace = self._open.setdefault(span.trace, [])
        trace.append(span)
        self._n_open += 1
        while self._n_open > _MOST_OPEN:
            self._close(self._open.popitem(last=False)[1])

    def open_traces(self) -> Iterable[Sequence[Span]]:
        """The spans of each unfinished trace."""
        return self._open.values()

    def logs(self, service: str, times_s: Sequence[float], are_errors: Sequence[bool]) -> None:
        """Adds log lines of a service."""
        self._room.take(_SPAN_BYTES * len(times_s))
        lines = self._logs[service]
        lines.times.extend(times_s)
        lines.durations.extend([0.0] * len(times_s))
        lines.failed.extend(are_errors)

    def recording(self, at: float | None = None) -> Recording:
        """What the traces show, per interval; no interval spans `at`."""
        recording = Recording()
        while self._open:
            self._close(self._open.popitem(last=False)[1])
        everything = [
            m for of in (self._served, self._sent, self._received, self._logs) for m in of.values() if m.times
        ]
        if not everything:
            return recording
        first = min(min(m.times) for m in everything)
        last = max(max(m.times) for m in everything)
        step = max(float(np.clip((last - first) / _POINTS, 1.0, _STEP_S)), (last - first) / _MOST_POINTS)
        if at is not None:
            first = at - step * np.ceil((at - first) / step)
        grid = _Bins(first, step, int((last - first) / step) + 1)
        for service, served in self._served.items():
            rate = grid.count(served) / step
            told = {"request_rate": rate, "error_rate": grid.failing(served)}
            told |= {f"latency_p{share}_s": grid.percentile(served, share) for share in (50, 99)}
            told["own_latency_s"] = grid.mean(self._own[service])
            for name, values in told.items():
                recording.series(service, name, grid.times, values)
        for service, lines in self._logs.items():
            number = grid.count(lines)
            recording.series(service, "log_count", grid.times, number)
            recording.series(
                service, "log_err_count", grid.times, np.nan_to_num(grid.failing(lines)) * number
            )
        lost = self._lost_calls()
        for pair in dict.fromkeys([*self._sent, *self._received, *lost]):
            self._tell_call(pair, lost.get(pair), grid, recording)
        return recording

    def _tell_call(
        self, pair: tuple[str, str], lost: SpanTimes | None, grid: "_Bins", recording: Recording
    ) -> None:
        recording.call(*pair)
        sent, received = self._sent.get(pair), self._received.get(pair)
        seen = sent or received
        told: dict[str, Floats] = {}
        if seen:
            told["request_rate"] = grid.count(seen) / grid.step
            told["error_rate"] = grid.failing(seen)
        if sent:
            told["latency_caller_s"] = grid.mean(sent)
        if received:
            told["latency_callee_s"] = grid.mean(received)
        if gaps := self._gaps.get(pair):
            told["latency_gap_s"] = grid.mean(gaps)
        if sent and received:
            number = grid.count(sent)
            with np.errstate(invalid="ignore"):
                told["unmatched_share"] = np.where(
                    number, (grid.count(lost) if lost else 0.0) / number, np.nan
                )
        for name, values in told.items():
            recording.series(pair, name, grid.times, values)

    def _lost_calls(self) -> dict[tuple[str, str], SpanTimes]:
        """Unanswered calls, by caller and intended callee; they also count as sent."""
        found: dict[tuple[str, str], SpanTimes] = defaultdict(SpanTimes)
        services = {*self._served, *(callee for _, callee in self._received)}
        for (service, name, peer), lost in self._lost.items():
            host = peer.partition(":")[0]
            callee = next((n for n in (peer, host, host.partition(".")[0]) if n in services), None)
            callee = callee or self._callee_of.get((service, name)) or host
            if callee and callee != service and callee not in NOBODY:
                for measured in (found[service, callee], self._sent[service, callee]):
                    measured.times.extend(lost.times)
                    measured.durations.extend(lost.durations)
                    measured.failed.extend(lost.failed)
        return found

    def _close(self, spans: Sequence[Span]) -> None:
        """Evaluates a complete trace."""
        names = len(self._served) + len(self._sent) + len(self._received) + len(self._lost)
        self._n_open -= len(spans)
        # Queries for the traces of one service after another return most traces several times.
        spans = list({(span.id, span.service, span.kind): span for span in spans}.values())
        # Client and server may share an id (Zipkin): a child belongs under the server's span.
        by_id = {span.id: span for span in sorted(spans, key=lambda span: span.kind in _ENTRIES)}
        clients = {span.id: span for span in spans if span.kind in _EXITS}
        children: defaultdict[int, list[Span]] = defaultdict(list)
        answered: set[int] = set()
        entries: list[Span] = []
        for span in spans:
            shared = clients.get(span.id)
            parent = shared if shared is not None and shared is not span else by_id.get(span.parent)
            if parent is span:
                parent = None
            if parent is not None:
                children[id(parent)].append(span)
            is_entry = span.kind in _ENTRIES or (
                span.kind not in _EXITS and (parent is None or parent.service != span.service)
            )
            if is_entry:
                entries.append(span)
                if parent is not None and parent.service != span.service:
                    self._answered(parent, span)
                    answered.add(id(parent))
        for span in spans:
            if span.kind in _EXITS and id(span) not in answered:
                self._lost[span.service, span.name, span.peer].add(span)
        for entry in entries:
            self._served[entry.service].add(entry)
            self._own[entry.service].add(entry, _own_time(entry, children))
        more = len(self._served) + len(self._sent) + len(self._received) + len(self._lost) - names
        self._room.take(_NAME_BYTES * more)

    def _answered(self, parent: Span, entry: Span) -> None:
        pair = (parent.service, entry.service)
        if parent.service in NOBODY or entry.service in NOBODY:
            return
        self._received[pair].add(entry)
        if parent.kind in _EXITS:
            self._sent[pair].add(parent)
            self._callee_of[parent.service, parent.name] = entry.service
            if parent.kind == "client":
                self._gaps[pair].add(parent, max(parent.duration_s - entry.duration_s, 0.0))


def _own_time(entry: Span, children: defaultdict[int, list[Span]]) -> float:
    """The duration of a span minus the time in which its service waited for calls to others."""
    calls: list[tuple[float, float]] = []
    other_clocks = 0.0
    seen: set[int] = set()
    todo = [entry]
    while todo:
        span = todo.pop()
        if id(span) in seen:
            continue
        seen.add(id(span))
        for child in children[id(span)]:
            if child.kind in _EXITS:
                calls.append((child.start_s, child.start_s + child.duration_s))
            elif child.service != entry.service:
                other_clocks += child.duration_s
            elif child.kind not in _ENTRIES:
                todo.append(child)
    covered, end = 0.0, entry.start_s
    for start, stop in sorted(calls):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return max(entry.duration_s - covered - other_clocks, 0.0)


class _Bins:
    """Measurements per interval: (N,) each; NaN without any."""

    def __init__(self, first: float, step: float, n: int) -> None:
        self.first, self.step, self.n = first, step, n
        self.times: Floats = first + step * np.arange(n, dtype=np.float64)

    def count(self, measured: SpanTimes) -> Floats:
        return np.bincount(self._bin(measured), minlength=self.n).astype(float)

    def failing(self, measured: SpanTimes) -> Floats:
        return self._mean_of(measured, np.asarray(measured.failed, dtype=float))

    def mean(self, measured: SpanTimes) -> Floats:
        return self._mean_of(measured, np.asarray(measured.durations))

    def percentile(self, measured: SpanTimes, share: float) -> Floats:
        where = self._bin(measured)
        order = np.argsort(where, kind="stable")
        durations = np.asarray(measured.durations)[order]
        found = np.full(self.n, np.nan)
        edges = np.searchsorted(where[order], np.arange(self.n + 1))
        for index, (start, end) in enumerate(pairwise(edges)):
            if end > start:
                found[index] = np.percentile(durations[start:end], share)
        return found

    def _bin(self, measured: SpanTimes) -> Ints:
        where = ((np.asarray(measured.times) - self.first) / self.step + 1e-6).astype(np.int64)
        return np.clip(where, 0, self.n - 1)

    def _mean_of(self, measured: SpanTimes, values: Floats) -> Floats:
        number = self.count(measured)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.bincount(self._bin(measured), values, self.n) / number)
