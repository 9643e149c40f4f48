"""Makes the network's softmax mean what it says, on examples that it was not trained on.

Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; one temperature a mode
of evidence, since a lone snapshot and a baselined series are not equally sure.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from gnn.features.featurize import MODES
from gnn.network.batch import Example
from gnn.network.softmax import surprise

LEAST = 10  # examples of a mode below which it shares the temperature of all
_BOUNDS = (np.log(0.25), np.log(10.0))


def fit_temperatures(
    scores: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]
) -> dict[str, float]:
    """The temperature of each mode that makes the root causes of `examples` likeliest.

    Every source of examples counts the same, however many it has: simulation shall not outvote real systems.

    Args:
        scores: the network's root scores (S,) of each example.
        examples: held out; those without a root are ignored.
    """
    rooted = [
        _Case(score.astype(float), example.is_root > 0, MODES[example.graph.mode], example.source)
        for score, example in zip(scores, examples, strict=True)
        if example.is_root.any()
    ]
    if not rooted:
        return dict.fromkeys(MODES, 1.0)
    shared = _fit(rooted)
    temperatures = {}
    for mode in MODES:
        own = [case for case in rooted if case.mode == mode]
        temperatures[mode] = _fit(own) if len(own) >= LEAST else shared
    return temperatures


class _Case(NamedTuple):
    """A scored example."""

    score: npt.NDArray[np.float64]  # (S,)
    root: npt.NDArray[np.bool_]  # (S,)
    mode: str
    source: str


def _fit(cases: Sequence[_Case]) -> float:
    counts = Counter(case.source for case in cases)
    weights = np.array([1.0 / counts[case.source] for case in cases]) / len(counts)

    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return float(weights @ [surprise(case.score / temperature, case.root) for case in cases])

    return round(float(np.exp(minimize_scalar(loss, bounds=_BOUNDS, method="bounded").x)), 4)
