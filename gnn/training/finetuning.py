"""Fine-tunes a network on a few labels; how far to go is chosen on labels that were held out."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gnn.network.batch import Example
from gnn.network.model import RootCauseNet
from gnn.training.folds import folds_of, kinds_of, splits
from gnn.training.progress import OVER_INCIDENTS, OnStage, Steps, ignore_stage
from gnn.training.train import Epoch, TrainConfig, Trained, rate_scores, score_examples, train

Scores = npt.NDArray[np.float32]

FEW = 100  # up to so many labelled groups each is held out once; with more, a fixed share is held out
# How far to go from the start to the network that fits the labels. What lies between two fine-tuned networks
# forgets less: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
_CAUTIOUS = (
    10  # examples below which half of the way is what helps on average, and three quarters from there on
)


# These suit a few labels better than the defaults of training from scratch.
FINETUNING: dict[str, Any] = {"epochs": 30, "batch_graphs": 8, "learning_rate": 5e-4}


def finetune(
    config: TrainConfig,
    examples: Sequence[Example],
    init: RootCauseNet,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_stage: OnStage = ignore_stage,
) -> Trained:
    """Trains `init` on all examples and goes as far towards the result as helps on examples held aside.

    Every labelled group is held out once, and so is every named kind of fault, since the next incident may be
    of a kind without labels. A step that ranks the first worse than the start does, or both together, is not
    taken. With fewer than two groups there is nothing to check a step on, and the start is kept.

    Args:
        config: of each training.
        examples: what to learn from.
        init: the start, left as it is.
        on_epoch: called after each pass of the final training.
        on_stage: called after each pass of the trainings before it.
    """
    parts = list(splits(examples, folds_of(examples)))
    kinds = list(splits(examples, kinds_of(examples)))
    passes = Steps(f"epochs of {OVER_INCIDENTS}", (len(parts) + len(kinds)) * config.epochs, on_stage)
    held_out, scores = _each_step(config, init, parts, passes)
    if not held_out:
        nothing = rate_scores([], [])
        return Trained(init, [], [], [], nothing, nothing, 0.0)
    ratings = [rate_scores(found, held_out) for found in scores]
    unknown, of_unknown = _each_step(config, init, kinds, passes)
    elsewhere = [rate_scores(found, unknown).ac1 for found in of_unknown] if unknown else None
    best = _choose([rating.ac1 for rating in ratings], len(held_out), elsewhere)
    fitted = train(config, examples, init=init, on_epoch=on_epoch) if best else init
    net = between(init, fitted, STEPS[best])
    return Trained(net, held_out, scores[best], held_out, ratings[best], ratings[0], STEPS[best])


def _each_step(
    config: TrainConfig,
    init: RootCauseNet,
    parts: Sequence[tuple[list[Example], list[Example]]],
    passes: Steps,
) -> tuple[list[Example], list[list[Scores]]]:
    """The examples held out in turn, and the scores of each step towards the labels of the others."""
    held_out: list[Example] = []
    scores: list[list[Scores]] = [[] for _ in STEPS]
    for aside, others in parts:
        fitted = train(config, others, init=init, on_epoch=passes.step)
        held_out += aside
        for step, found in zip(STEPS, scores, strict=True):
            found += score_examples(between(init, fitted, step), aside)
    return held_out, scores


def _choose(ac1: Sequence[float], cases: int, elsewhere: Sequence[float] | None = None) -> int:
    """The number of the step to take, by AC@1 on `cases` held-out examples; never one worse than the start.

    `elsewhere` is the AC@1 of each step on held-out kinds of faults. It may fall there, where no label says
    what is right, but not by more than it rises on the others: as if every second fault were of a new kind.

    So few cases tell steps apart only roughly. Among those within one standard error of the best (Breiman et
    al., "Classification and Regression Trees", 1984) it is the one nearest to what helps on average.
    """
    wanted = 0.5 if cases < _CAUTIOUS else 0.75
    best = max(ac1)
    enough = max(ac1[0], best - math.sqrt(best * (1 - best) / cases))
    fit = [number for number, found in enumerate(ac1) if found >= enough]
    if elsewhere is not None:
        fit = [n for n in fit if ac1[n] + elsewhere[n] >= ac1[0] + elsewhere[0]] or [0]
    return min(fit, key=lambda number: abs(STEPS[number] - wanted))


def between(start: RootCauseNet, end: RootCauseNet, step: float) -> RootCauseNet:
    """The network whose weights lie `step` of the way from `start` to `end`."""
    net = RootCauseNet(start.config)
    target = end.state_dict()
    mixed = {name: torch.lerp(value, target[name], step) for name, value in start.state_dict().items()}
    net.load_state_dict(mixed)
    return net.eval()
