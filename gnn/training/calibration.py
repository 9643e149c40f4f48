"""Calibrates the network's softmax on examples that it was not trained on.

Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; one temperature a mode
of evidence, since a lone snapshot and a baselined series are not equally sure.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from gnn.features.featurize import MODES, N_ALERTS
from gnn.features.trouble import in_trouble
from gnn.network.batch import Example
from gnn.network.softmax import Doubt, surprise

LEAST = 10  # examples of a mode below which all share one temperature
_LOG_TEMPERATURE = (float(np.log(0.1)), float(np.log(10.0)))
_DOUBT = (0.0, 3.0)
_RIDGE = 0.01
_SIMULATED = "simulated"  # all worlds are one source


def calibrate(scores: Sequence[npt.NDArray[np.float32]], examples: Sequence[Example]) -> Doubt:
    """How sure to be: what makes the root causes of `examples` likeliest.

    Every source of examples counts the same, however many it has: simulation shall not outvote real systems.
    A ranker is right less often where many services are in trouble, where the first raises many alerts, and
    where it gives much the same score to all services.

    Args:
        scores: the network's root scores (S,) of each example.
        examples: held out; those without a root are ignored.
    """
    cases = [
        _case(score.astype(float), example)
        for score, example in zip(scores, examples, strict=True)
        if example.has_root
    ]
    if not cases:
        return Doubt(dict.fromkeys(MODES, 1.0))
    count = Counter(case.mode for case in cases)
    # With few examples of one mode, all share one temperature.
    modes = sorted(count) if min(count.values()) >= LEAST else ["any"]
    place = np.array([modes.index(case.mode) if len(modes) > 1 else 0 for case in cases])
    of_source = Counter(case.source for case in cases)
    weight = np.array([1.0 / of_source[case.source] for case in cases]) / len(of_source)
    signs = np.array([(case.alerts, case.trouble, -case.spread) for case in cases])  # (cases, 3)

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        log_temperature, doubts = np.split(parameters, [len(modes)])
        heat = np.exp(log_temperature[place] + signs @ doubts)
        surprises = [
            surprise(case.score / t, case.root) for case, t in zip(cases, heat.tolist(), strict=True)
        ]
        return float(weight @ surprises + _RIDGE * (doubts @ doubts))

    bounds = [_LOG_TEMPERATURE] * len(modes) + [_DOUBT] * signs.shape[1]
    best = minimize(loss, np.zeros(len(bounds)), bounds=bounds).x.tolist()
    found, doubts = best[: len(modes)], best[len(modes) :]
    of_mode = dict(zip(modes, found, strict=True))
    other = sum(found) / len(found)  # for modes that were not seen
    temperature = {mode: round(float(np.exp(of_mode.get(mode, other))), 4) for mode in MODES}
    return Doubt(temperature, *(round(doubt, 4) for doubt in doubts))


class _Case(NamedTuple):
    """A scored example."""

    score: npt.NDArray[np.float64]  # (S,)
    root: npt.NDArray[np.bool_]  # (S,)
    mode: str
    source: str
    alerts: float  # log1p of how many the first service raises, on a list of alerts
    trouble: float  # share of services in trouble
    spread: float  # standard deviation of the scores, on a list of alerts


def _case(score: npt.NDArray[np.float64], example: Example) -> _Case:
    graph, mode = example.graph, MODES[example.graph.mode]
    alerts = float(graph.x[int(np.argmax(score)), N_ALERTS]) if mode == "alerts" else 0.0
    trouble = float(in_trouble(graph).mean())
    source = _SIMULATED if example.source.startswith(_SIMULATED) else example.source
    spread = float(np.std(score)) * (mode == "alerts")
    return _Case(score, example.is_root > 0, mode, source, alerts, trouble, spread)
