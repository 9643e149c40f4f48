"""What a training tells of itself while it runs: how far each of its stages is."""

from collections.abc import Callable
from typing import NamedTuple

from gnn.train import Epoch


class Stage(NamedTuple):
    """How far one part of a training is."""

    name: str  # what is counted
    done: int
    total: int | None = None  # None: nobody knows


CROSS_VALIDATED = "epochs of cross-validation"

OnStage = Callable[[Stage], None]


def unheard(stage: Stage) -> None:
    """Nobody listens."""


class Steps:
    """Counts the steps of one stage, and says so from its start on."""

    def __init__(self, name: str, total: int, on_stage: OnStage) -> None:
        self._name, self._total, self._on_stage = name, total, on_stage
        self._done = 0
        on_stage(Stage(name, 0, total))

    def step(self, epoch: Epoch | None = None) -> None:
        """One more is done; `epoch` where it is a pass over examples."""
        self._done += 1
        self._on_stage(Stage(self._name, self._done, self._total))
