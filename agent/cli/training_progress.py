"""How a training is going: a bar on a terminal, a line an epoch elsewhere, and curves for TensorBoard."""

import math
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent.cli.console import note, wide_console
from data.errors import SettingsError
from gnn.train import Epoch

_A_NOTE = 1000  # examples


class TrainingProgress:
    """Listens to a training and shows it on stderr; a context manager, so that the bar stops at the end."""

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
        if self._bar:
            self._task = self._bar.add_task("examples", total=None, standing="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def examples_read(self, number: int) -> None:
        if self._bar:
            self._bar.update(self._task, completed=number)
        elif number % _A_NOTE == 0:
            note(f"{number} examples read", self._quiet)

    def epoch_done(self, epoch: Epoch) -> None:
        standing = f"loss {epoch.loss:.4f}"
        if not math.isnan(epoch.dev_ac1):
            standing += f", AC@1 on held-out {epoch.dev_ac1:.3f}"
        if self._bar:
            self._bar.update(
                self._task,
                description="epochs",
                total=self._epochs,
                completed=epoch.number,
                standing=standing,
            )
        else:
            note(f"epoch {epoch.number}: {standing}", self._quiet)


class TensorBoard:
    """Writes each epoch's figures for TensorBoard into a folder, or nothing where none is given.

    Raises:
        SettingsError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise SettingsError(
                "--tensorboard needs the package tensorboard: pip install 'firewatch-rca[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
