"""Shows the progress of a run on stderr: a live table on a terminal, else one line per task."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TextIO, cast

from rich.console import RenderableType
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from agent.cli.console import text_table, wide_console
from agent.play.episode import EpisodeResult, StepRecord
from agent.play.run import Listener
from agent.records.lines import EpisodeLine
from agent.records.summary import HEADINGS, headline, outcome, summary_row
from agent.terminal_text import printable
from data.observation import Task

_SHOWN = 20  # rows of the live table, for the latest tasks


@contextmanager
def job_bar(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; yields a function that takes the number of finished jobs and of all jobs."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=wide_console(stderr=True, quiet=quiet), transient=True) as bars:
        bar = bars.add_task("", total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


class Progress(Listener):
    """Listens to a run and shows it; a context manager, which stops the live table at the end."""

    def __init__(self, total: int, quiet: bool, live: bool = True) -> None:
        self._console = wide_console(stderr=True, quiet=quiet)
        self._total = total
        self._ended = 0
        self._latest: dict[Task, tuple[str, ...]] = {}
        self._live = (
            Live(console=self._console, refresh_per_second=8, transient=True)
            if live and self._console.is_terminal and not quiet
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def above(self, stream: TextIO) -> TextIO:
        """`stream`, or a stream that prints above the live table if both use the terminal."""
        if self._live and stream.isatty():
            return cast("TextIO", FileProxy(self._console, stream))
        return stream

    def task_started(self, task: Task) -> None:
        self._show(task, "starting", "")

    def step_played(self, step: StepRecord) -> None:
        suspect = step.ranking.services[0] if step.ranking and step.ranking.services else ""
        self._show(step.task, f"step {step.number}: {step.action} ({step.decision.source})", suspect)

    def task_ended(self, result: EpisodeResult) -> None:
        self._ended += not result.interrupted
        ended = "interrupted" if result.interrupted else outcome(EpisodeLine.of(result))
        score = "" if result.score is None else f" {result.score:.2f}"
        self._show(result.task, f"{ended}{score}", ", ".join(result.root_causes))
        if not self._live:
            self._say(
                f"[{self._ended}/{self._total}] {result.task.name}: {ended}{score}, {len(result.steps)} steps"
            )

    def summarise(self, episodes: Sequence[EpisodeLine], folder: Path) -> None:
        """Prints the summary: one row per task, and one sentence about the run."""
        self._console.print(text_table(HEADINGS, map(summary_row, episodes)))
        self._say(headline(episodes))
        self._say(f"Run folder: {folder}")

    def _show(self, task: Task, doing: str, suspect: str) -> None:
        self._latest.pop(task, None)
        self._latest[task] = (task.name, doing, suspect)
        if self._live:
            rows = list(self._latest.values())[-_SHOWN:]
            self._live.update(
                text_table(("task", "now", "first suspect"), rows, f"{self._ended} of {self._total} tasks")
            )

    def show(self, view: RenderableType) -> None:
        """Shows something else instead of the table; printed if there is no live display."""
        if self._live:
            self._live.update(view)
        else:
            self._console.print(view)

    def _say(self, text: str) -> None:
        """Prints plain text, without interpreting markup in names."""
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
