"""Adapting a network to a system without labels: from faults laid over its healthy past."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gnn.adapt import STEPS, between
from gnn.batch import Example
from gnn.model import RootCauseNet
from gnn.train import Epoch, Rating, TrainConfig, rate_scores, score_examples, train
from gnn.workers import ALONE, Workers

WORLDS = 1000  # incidents of the system, and as many of other worlds
# Few and gentle passes: the start knows how faults travel, and training in simulation for long does not pay.
REHEARSING: dict[str, Any] = {"epochs": 4, "batch_graphs": 32, "learning_rate": 3e-4}


class Rehearsed(NamedTuple):
    """A network that knows a system's healthy noise and what spoke for it."""

    net: RootCauseNet
    step: float  # 0: the start was kept; 1: all the way to the trained network
    scores: list[npt.NDArray[np.float32]]  # of what was held out, the system's own first
    before: Rating  # of the start on the system's own incidents that were held out
    after: Rating  # its AC@1 is never below that of the start, nor is that on the held-out other worlds


def rehearse(
    config: TrainConfig,
    own: Sequence[Example],
    others: Sequence[Example],
    own_aside: Sequence[Example],
    others_aside: Sequence[Example],
    init: RootCauseNet,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    workers: Workers = ALONE,
    state: Path | None = None,
) -> Rehearsed:
    """Trains `init` on both kinds of worlds and goes as far towards the result as helps on those held out.

    Of the steps that rank neither kind worse than the start, it is the one least surprised by the system's
    own; without a root held out of both kinds nothing speaks for a step, and the start is kept.

    Args:
        config: of the training.
        own: simulated incidents of the system.
        others: simulated incidents of other worlds, so that nothing is forgotten.
        own_aside: likewise, never trained on.
        others_aside: likewise.
        init: the start, left as it is.
        on_epoch: called after each pass.
        workers: the processes that share each batch.
        state: where each epoch is kept, to go on from after an interruption.
    """
    trained = train(config, [*own, *others], (), init, on_epoch, workers, state)
    aside = [*own_aside, *others_aside]
    nets = [between(init, trained, step) for step in STEPS]
    scores = [score_examples(net, aside) for net in nets]
    ratings = [_rated(found[: len(own_aside)], own_aside) for found in scores]
    elsewhere = [_rated(found[len(own_aside) :], others_aside) for found in scores]
    fit = [
        number
        for number in range(len(STEPS))
        if ratings[number].ac1 >= ratings[0].ac1 and elsewhere[number].ac1 >= elsewhere[0].ac1
    ]
    best = min(fit, key=lambda number: ratings[number].loss, default=0)
    return Rehearsed(nets[best], STEPS[best], scores[best], ratings[0], ratings[best])


def _rated(scores: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]) -> Rating:
    """Of the examples with a root."""
    rooted = [pair for pair in zip(scores, examples, strict=True) if pair[1].is_root.any()]
    return rate_scores([score for score, _ in rooted], [example for _, example in rooted])
