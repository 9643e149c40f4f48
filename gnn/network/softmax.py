"""Scores of one incident's services as chances, and how surprised they leave one of its root causes.

Shapes: S services.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gnn.features.featurize import MODES, N_ALERTS, Graph

Floats = npt.NDArray[np.float64]


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Log-probabilities (S,) of logits (S,)."""
    shifted = np.asarray(logits, dtype=float) - float(np.max(logits))
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def surprise(logits: npt.NDArray[np.floating], is_root: npt.NDArray[np.bool_]) -> float:
    """The negative logarithm of the chance that logits (S,) leave to the root causes, at least one."""
    return -float(np.log(np.exp(log_softmax(logits)[is_root]).sum()))


def tempered(
    scores: npt.NDArray[np.floating], graph: Graph, temperature: Mapping[str, float], alert_doubt: float
) -> npt.NDArray[np.floating]:
    """Scores (S,) as logits that mean what they say.

    Args:
        scores: the network's.
        graph: what they are of.
        temperature: of each mode of evidence.
        alert_doubt: on a list of alerts, the power by which the temperature rises with those of the first.
    """
    own = temperature.get(MODES[graph.mode], 1.0)
    if alert_doubt and MODES[graph.mode] == "alerts":
        own *= float(np.exp(alert_doubt * graph.x[int(np.argmax(scores)), N_ALERTS]))
    return np.asarray(scores / own)
