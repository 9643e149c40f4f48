"""Calibrates the network's softmax on examples that it was not trained on.

Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; one temperature a mode
of evidence, since a lone snapshot and a baselined series are not equally sure.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar

from gnn.features.featurize import MODES, N_ALERTS
from gnn.network.batch import Example
from gnn.network.softmax import surprise

LEAST = 10  # examples of a mode below which it shares the temperature of all
_BOUNDS = (np.log(0.25), np.log(10.0))
_RIDGE = 0.001


def calibrate(
    scores: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]
) -> tuple[dict[str, float], float]:
    """The temperature of each mode, and how it rises with alerts: see the two functions below."""
    temperature = fit_temperatures(scores, examples)
    on_alerts, doubt = fit_alert_doubt(scores, examples) or (temperature["alerts"], 0.0)
    return {**temperature, "alerts": on_alerts}, doubt


def fit_temperatures(
    scores: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]
) -> dict[str, float]:
    """The temperature of each mode that makes the root causes of `examples` likeliest.

    Every source of examples counts the same, however many it has: simulation shall not outvote real systems.

    Args:
        scores: the network's root scores (S,) of each example.
        examples: held out; those without a root are ignored.
    """
    rooted = _cases(scores, examples)
    if not rooted:
        return dict.fromkeys(MODES, 1.0)
    shared = _fit(rooted)
    temperatures = {}
    for mode in MODES:
        own = [case for case in rooted if case.mode == mode]
        temperatures[mode] = _fit(own) if len(own) >= LEAST else shared
    return temperatures


def fit_alert_doubt(
    scores: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]
) -> tuple[float, float] | None:
    """The temperature of a list of alerts, and the power by which it rises with the alerts of the first.

    Who raises many alerts shouts, and is not the more often at fault. None with too few such examples.
    """
    cases = [case for case in _cases(scores, examples) if case.mode == "alerts"]
    if len(cases) < LEAST:
        return None
    weights = _weights(cases)

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        log_temperature, doubt = parameters
        heat = [np.exp(log_temperature + doubt * case.alerts) for case in cases]
        surprises = [surprise(case.score / own, case.root) for case, own in zip(cases, heat, strict=True)]
        return float(weights @ surprises + _RIDGE * doubt**2)

    found = minimize(loss, np.zeros(2), bounds=[_BOUNDS, (0.0, 1.0)], method="Nelder-Mead").x
    return round(float(np.exp(found[0])), 4), round(float(found[1]), 4)


class _Case(NamedTuple):
    """A scored example."""

    score: npt.NDArray[np.float64]  # (S,)
    root: npt.NDArray[np.bool_]  # (S,)
    mode: str
    source: str
    alerts: float  # log1p of how many the first service raises


def _cases(scores: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]) -> list[_Case]:
    return [
        _Case(
            score.astype(float),
            example.is_root > 0,
            MODES[example.graph.mode],
            example.source,
            float(example.graph.x[int(np.argmax(score)), N_ALERTS]),
        )
        for score, example in zip(scores, examples, strict=True)
        if example.is_root.any()
    ]


def _weights(cases: Sequence[_Case]) -> npt.NDArray[np.float64]:
    counts = Counter(case.source for case in cases)
    return np.array([1.0 / counts[case.source] for case in cases]) / len(counts)


def _fit(cases: Sequence[_Case]) -> float:
    weights = _weights(cases)

    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return float(weights @ [surprise(case.score / temperature, case.root) for case in cases])

    return round(float(np.exp(minimize_scalar(loss, bounds=_BOUNDS, method="bounded").x)), 4)
