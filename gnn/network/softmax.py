"""Scores of one incident's services as chances, and how surprised they leave one of its root causes.

Shapes: S services.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.arrays import Bools, Floats
from gnn.features.featurize import MODES, N_ALERTS, Graph
from gnn.features.trouble import in_trouble


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Log-probabilities (S,) of logits (S,)."""
    shifted = np.asarray(logits, dtype=float) - float(np.max(logits))
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def surprise(logits: npt.NDArray[np.floating], is_root: Bools) -> float:
    """The negative logarithm of the chance that logits (S,) leave to the root causes, at least one."""
    return -float(np.logaddexp.reduce(log_softmax(logits)[is_root]))


class Doubt(NamedTuple):
    """How sure to be: temperatures, and what raises them."""

    temperature: Mapping[str, float]  # of each mode of evidence
    alert_doubt: float = 0.0  # on a list of alerts: by how many the first service raises, as log1p
    trouble_doubt: float = 0.0  # by the share of services that are in trouble
    spread_doubt: float = 0.0  # on a list of alerts: falls with the standard deviation of the scores

    def on(self, scores: npt.NDArray[np.floating], graph: Graph) -> float:
        """The temperature for scores (S,)."""
        mode = MODES[graph.mode]
        doubt = self.trouble_doubt * float(in_trouble(graph).mean()) if self.trouble_doubt else 0.0
        if mode == "alerts":
            doubt += self.alert_doubt * float(graph.x[int(np.argmax(scores)), N_ALERTS])
            doubt -= self.spread_doubt * float(np.std(scores))
        return self.temperature.get(mode, 1.0) * float(np.exp(doubt))


def tempered(scores: npt.NDArray[np.floating], graph: Graph, doubt: Doubt) -> npt.NDArray[np.floating]:
    """The network's scores (S,) as logits that mean what they say."""
    return np.asarray(scores / doubt.on(scores, graph))
