"""Makes the network's softmax mean what it says, on examples that it was not trained on.

Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; one temperature a mode
of evidence, since a lone snapshot and a baselined series are not equally sure.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from gnn.batch import Example
from gnn.features import MODES

LEAST = 10  # examples of a mode below which it shares the temperature of all
_BOUNDS = (np.log(0.25), np.log(10.0))


def fit_temperatures(
    scores: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]
) -> dict[str, float]:
    """The temperature of each mode that makes the root causes of `examples` likeliest.

    Args:
        scores: the network's root scores (S,) of each example.
        examples: held out; those without a root are ignored.
    """
    rooted = [
        (score.astype(float), example.is_root > 0, MODES[example.graph.mode])
        for score, example in zip(scores, examples, strict=True)
        if example.is_root.any()
    ]
    if not rooted:
        return dict.fromkeys(MODES, 1.0)
    shared = _fit([(score, root) for score, root, _ in rooted])
    temperatures = {}
    for mode in MODES:
        own = [(score, root) for score, root, its_mode in rooted if its_mode == mode]
        temperatures[mode] = _fit(own) if len(own) >= LEAST else shared
    return temperatures


def _fit(cases: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]) -> float:
    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return float(np.mean([_negative_log_likelihood(score / temperature, root) for score, root in cases]))

    return round(float(np.exp(minimize_scalar(loss, bounds=_BOUNDS, method="bounded").x)), 4)


def _negative_log_likelihood(logits: npt.NDArray[np.float64], root: npt.NDArray[np.bool_]) -> float:
    shifted = logits - logits.max()
    return float(np.log(np.exp(shifted).sum()) - np.log(np.exp(shifted[root]).sum()))
