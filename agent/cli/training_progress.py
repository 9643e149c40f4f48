"""Shows the progress of a training: bars on a terminal, else lines, and curves for TensorBoard."""

import math
from pathlib import Path
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from agent.cli.console import note, wide_console
from data.extras import needs
from gnn.training.progress import Stage
from gnn.training.train import Epoch

_A_NOTE = 1000  # steps per line, for a stage of unknown length
_NOTES = 5  # lines per stage of known length


class TrainingProgress:
    """Listens to a training and shows it on stderr; a context manager, which stops the bars at the end.

    On a terminal each stage has a bar. Otherwise each epoch of the main training gets a line, and other long
    stages a few.
    """

    def __init__(self, epochs: int, quiet: bool) -> None:
        self._quiet, self._epochs = quiet, epochs
        console = wide_console(stderr=True, quiet=quiet)
        self._bar = (
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[standing]}"),
                console=console,
            )
            if console.is_terminal and not quiet
            else None
        )
        self._tasks: dict[str, TaskID] = {}  # by stage

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def stage_moved(self, stage: Stage) -> None:
        if self._bar:
            self._move(self._bar, stage)
        elif stage.total is None and stage.done % _A_NOTE == 0:
            note(f"{stage.done} {stage.name}", self._quiet)
        elif stage.total is not None and _is_told(stage.done, stage.total):
            note(f"{stage.name}: {stage.done} of {stage.total}", self._quiet)

    def epoch_done(self, epoch: Epoch) -> None:
        standing = f"loss {epoch.loss:.4f}"
        if not math.isnan(epoch.dev_ac1):
            standing += f", AC@1 on held-out {epoch.dev_ac1:.3f}"
        if self._bar:
            self._move(self._bar, Stage("epochs", epoch.number, self._epochs), standing)
        else:
            note(f"epoch {epoch.number}: {standing}", self._quiet)

    def _move(self, bar: Progress, stage: Stage, standing: str = "") -> None:
        """Moves the bar of the stage; bars of earlier stages stop."""
        if stage.name not in self._tasks:
            for task in bar.tasks:
                bar.update(task.id, total=task.completed if task.total is None else task.total)
                bar.stop_task(task.id)
            self._tasks[stage.name] = bar.add_task(stage.name, total=stage.total, standing="")
        bar.update(self._tasks[stage.name], completed=stage.done, standing=standing)


def _is_told(done: int, total: int) -> bool:
    """Whether to print a line: at each fifth of a stage with more than one step."""
    return total > 1 and done > 0 and done * _NOTES // total > (done - 1) * _NOTES // total


class TensorBoard:
    """Writes each epoch's figures for TensorBoard, if there is a folder.

    Raises:
        SettingsError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is None:
            return
        with needs("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def epoch_done(self, epoch: Epoch) -> None:
        if self._writer is None:
            return
        figures = {
            "loss/train": epoch.loss,
            "loss/held-out": epoch.dev_loss,
            "AC@1/held-out": epoch.dev_ac1,
            "learning rate": epoch.learning_rate,
        }
        for name, value in figures.items():
            if not math.isnan(value):
                self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()
