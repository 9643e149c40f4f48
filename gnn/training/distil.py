"""Distils several networks into one that costs no more than any of them.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015. Several networks together are
right more often than they are on average; a network that learns what they say instead of the labels also
learns which incidents cannot be told.
"""

from collections.abc import Sequence

import numpy as np

from gnn.network.batch import Example
from gnn.network.model import RootCauseNet
from gnn.network.softmax import log_softmax
from gnn.training.progress import OnStage, Steps, ignore_stage
from gnn.training.train import score_examples

_FAINT = 0.005  # shares below this become 0, unless they reach half of the largest


def with_teacher_scores(
    examples: Sequence[Example], teachers: Sequence[RootCauseNet], on_stage: OnStage = ignore_stage
) -> list[Example]:
    """The examples with the mean of the teachers' probabilities as their target.

    The raw scores of the networks are used, without temperatures and without trees.

    Args:
        examples: those without a root stay as they are.
        teachers: at least one.
        on_stage: called after each teacher.
    """
    said = [np.zeros(len(example.is_root)) for example in examples]  # (S,) each
    heard = Steps("teachers heard", len(teachers), on_stage)
    for teacher in teachers:
        for total, scores in zip(said, score_examples(teacher, examples), strict=True):
            total += np.exp(log_softmax(scores)) / len(teachers)
        heard.step()
    return [_with(e, share) if e.is_root.any() else e for e, share in zip(examples, said, strict=True)]


def _with(example: Example, share: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Example:
    share = np.where(share < min(_FAINT, 0.5 * float(share.max())), 0.0, share)
    return example._replace(taught=(share / share.sum()).astype(np.float32))
