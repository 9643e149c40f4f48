"""Scores of one incident's services as chances, and how surprised they leave one of its root causes.

Shapes: S services.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Log-probabilities (S,) of logits (S,)."""
    shifted = np.asarray(logits, dtype=float) - float(np.max(logits))
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def surprise(logits: npt.NDArray[np.floating], is_root: npt.NDArray[np.bool_]) -> float:
    """The negative logarithm of the chance that logits (S,) leave to the root causes, at least one."""
    return -float(np.log(np.exp(log_softmax(logits)[is_root]).sum()))
