"""The interface of the readers of formats, and what they fill."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from data.incident import Incident
from data.sources.files.opened import File, Head
from data.sources.joining import join, same_services
from data.sources.recording import Recording
from data.sources.resources import fill
from data.sources.room import LARGEST_ROOM_BYTES, Room
from data.sources.samples import Samples
from data.sources.spans import Spans

_STEP_S, _MOST_POINTS = 15.0, 2000  # of an age


class Gathered:
    """Collects the evidence of one incident, and complete incidents.

    Args:
        limit: most traces, samples or rows to read from each file.
        room_bytes: memory for values, for metrics, and for traces with logs, each.
    """

    def __init__(self, limit: int | None = None, room_bytes: int = LARGEST_ROOM_BYTES) -> None:
        self.limit = limit
        self._values = Room("values", room_bytes)  # of all files
        self.recording = Recording(self._values)  # of the file that is read
        self._told: list[Recording] = []
        self.samples = Samples(Room("metrics", room_bytes))  # metrics under their own names, with labels
        self.spans = Spans(Room("traces and logs", room_bytes))
        self.incidents: list[Incident] = []
        self.changes: dict[str, list[float]] = {}  # when each service was deployed anew
        self.scrapes: dict[str, int] = {}  # scrapes read of each service

    def next_file(self) -> None:
        """Starts another source, which may have its own names for services."""
        self._told.append(self.recording)
        self.recording = Recording(self._values)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes on all files."""
        return tuple(dict.fromkeys(note for one in (*self._told, self.recording) for note in one.notes))

    def finish(self) -> Recording:
        """Merges everything: the sources, metrics under their own names, and spans."""
        self.next_file()
        of_samples = Recording()
        fill(self.samples, of_samples)
        whole = Recording()
        for one in (*self._told, of_samples):
            join(whole, one)
        join(whole, self.spans.recording(whole.at), keep_known=True)
        same = same_services(whole.names, self.changes)
        for service, times in self.changes.items():
            tell_changes(whole, same.get(service, service), sorted(times))
        return whole


def tell_changes(recording: Recording, service: str, times: Sequence[float]) -> None:
    """Adds the age of the last change, up to the last value of any metric."""
    _, last = recording.span()
    if last is None:
        recording.note(f"'{service}' was changed, but there are no metrics to show the effect")
        return
    for start, end in pairwise([*times, last]):
        at = np.linspace(start, end, int(np.clip((end - start) / _STEP_S, 1, _MOST_POINTS)), endpoint=False)
        recording.series(service, "deploy_age_s", at, at - start)


class Reader(Protocol):
    """One format."""

    name: str  # for messages, such as "Jaeger traces"

    def recognises(self, head: Head) -> bool:
        """Whether a file that begins like this is of this format."""

    def read(self, file: File, into: Gathered) -> None:
        """Adds what the file holds.

        Raises:
            SchemaError: it is damaged or in another format after all.
        """
