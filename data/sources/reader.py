"""What every reader of a format is and fills: one small class a format, told apart by content."""

from typing import Protocol

from data.incident import Incident
from data.sources.opened import File, Head
from data.sources.recording import Recording
from data.sources.samples import Samples
from data.sources.spans import Spans


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

    def finish(self) -> Recording:
        """The recording, with what metrics under their own names and spans add to it."""
        self.samples.fill(self.recording)
        self.spans.fill(self.recording)
        return self.recording


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
