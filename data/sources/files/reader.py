"""What every reader of a format is and fills: one small class a format, told apart by content."""

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
    """What the files of one incident tell, and incidents that came whole.

    Args:
        limit: of each file read so many traces, samples or rows.
        room_bytes: the most that values, metrics, and traces with logs may take, each.
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
        """What comes now is of another source, which may name services in its own way."""
        self._told.append(self.recording)
        self.recording = Recording(self._values)

    def finish(self) -> Recording:
        """What all of them tell, with metrics under their own names, and what spans add to it."""
        self.next_file()
        of_samples = Recording()
        fill(self.samples, of_samples)
        whole = Recording()
        for one in (*self._told, of_samples):
            join(whole, one)
        join(whole, self.spans.recording(whole.at), told_counts=True)
        same = same_services(whole.names, self.changes)
        for service, times in self.changes.items():
            tell_changes(whole, same.get(service, service), sorted(times))
        return whole


def tell_changes(recording: Recording, service: str, times: Sequence[float]) -> None:
    """The age of the last change, where other values tell how long was looked."""
    _, last = recording.span()
    if last is None:
        recording.note(f"'{service}' was changed, but there are no metrics to show the effect")
        return
    for start, end in pairwise([*times, last]):
        at = np.linspace(start, end, int(np.clip((end - start) / _STEP_S, 1, _MOST_POINTS)), endpoint=False)
        recording.series(service, "deploy_age_s", at, at - start)


class Reader(Protocol):
    """One format."""

    name: str  # as a person calls it: "Jaeger traces"

    def recognises(self, head: Head) -> bool:
        """Whether a file that begins like this is of this format."""

    def read(self, file: File, into: Gathered) -> None:
        """Takes over what the file tells.

        Raises:
            SchemaError: it is damaged or of another form than it seemed.
        """
