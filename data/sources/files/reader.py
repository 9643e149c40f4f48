"""What every reader of a format is and fills: one small class a format, told apart by content."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from data.incident import Incident
from data.sources.files.opened import File, Head
from data.sources.recording import Recording
from data.sources.resources import fill
from data.sources.samples import Samples
from data.sources.spans import Spans

_STEP_S, _MOST_POINTS = 15.0, 2000  # of an age


class Gathered:
    """What the files of one incident tell, and incidents that came whole.

    Args:
        limit: of each file read so many traces, samples or rows.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.recording = Recording()
        self.samples = Samples()  # metrics under their own names, with labels
        self.spans = Spans()
        self.incidents: list[Incident] = []
        self.changes: dict[str, list[float]] = {}  # when each service was deployed anew
        self.scrapes: dict[str, int] = {}  # scrapes read of each service

    def finish(self) -> Recording:
        """The recording, with what metrics under their own names and spans add to it."""
        fill(self.samples, self.recording)
        self.spans.fill(self.recording)
        for service, times in self.changes.items():
            tell_changes(self.recording, service, sorted(times))
        return self.recording


def tell_changes(recording: Recording, service: str, times: Sequence[float]) -> None:
    """The age of the last change, where other values tell how long was looked."""
    _, last = recording.span()
    if last is None:
        recording.note(f"'{service}' was changed, but nothing tells what came of it: there are no metrics")
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
