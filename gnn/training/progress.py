"""Reports the progress of a training and what it took."""

import time
from collections.abc import Callable
from typing import NamedTuple

from gnn.card import Effort
from gnn.training.train import Epoch
from gnn.training.workers import Workers, device_name, pick_device


class Stage(NamedTuple):
    """How far one part of a training is."""

    name: str  # what is counted
    done: int
    total: int | None = None  # None: not known
    epoch: Epoch | None = None  # the latest step, where steps are passes over examples


# What folds hold out, and so what is counted twice.
OVER_INCIDENTS, OVER_KINDS = "cross-validation", "cross-validation over kinds of faults"

OnStage = Callable[[Stage], None]


def ignore_stage(stage: Stage) -> None:
    """Ignores progress."""


class Steps:
    """Counts the steps of one stage and reports each; a stage of none is not told."""

    def __init__(self, name: str, total: int, on_stage: OnStage) -> None:
        self._name, self._total, self._on_stage = name, total, on_stage
        self._done = 0
        if total:
            on_stage(Stage(name, 0, total))

    def step(self, epoch: Epoch | None = None) -> None:
        """Counts one more step; `epoch` if it was a pass over examples."""
        self._done += 1
        self._on_stage(Stage(self._name, self._done, self._total, epoch))


class Meter:
    """Passes on the progress of a training and adds up its effort."""

    def __init__(self, on_epoch: Callable[[Epoch], None], on_stage: OnStage) -> None:
        self._on_epoch, self._on_stage = on_epoch, on_stage
        self._began = time.perf_counter()
        self._incidents, self._learning_s = 0, 0.0

    def epoch_done(self, epoch: Epoch) -> None:
        """A pass for the network that is kept."""
        self._add(epoch)
        self._on_epoch(epoch)

    def stage_moved(self, stage: Stage) -> None:
        """A step of anything else."""
        if stage.epoch is not None:
            self._add(stage.epoch)
        self._on_stage(stage)

    def _add(self, epoch: Epoch) -> None:
        self._incidents += epoch.incidents
        self._learning_s += epoch.seconds

    def effort(self, device: str, workers: Workers) -> Effort:
        """What it took up to now.

        Args:
            device: as asked for.
            workers: who shared the work.
        """
        return Effort(
            seconds=round(time.perf_counter() - self._began, 1),
            device=device_name(pick_device(device)),
            processes=workers.size,
            incidents_per_s=round(self._incidents / self._learning_s, 1) if self._incidents else None,
        )
