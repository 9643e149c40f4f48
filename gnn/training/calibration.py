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
    Where many services are in trouble, and where the first raises many alerts, a ranker is right less often.

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
    alerts, trouble = (
        np.array(values) for values in zip(*((c.alerts, c.trouble) for c in cases), strict=True)
    )

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        *log_temperature, by_alerts, by_trouble = parameters
        heat = np.exp(np.array(log_temperature)[place] + by_alerts * alerts + by_trouble * trouble)
        surprises = [
            surprise(case.score / t, case.root) for case, t in zip(cases, heat.tolist(), strict=True)
        ]
        return float(weight @ surprises + _RIDGE * (by_alerts**2 + by_trouble**2))

    bounds = [_LOG_TEMPERATURE] * len(modes) + [_DOUBT] * 2
    *found, by_alerts, by_trouble = minimize(loss, np.zeros(len(bounds)), bounds=bounds).x.tolist()
    of_mode = dict(zip(modes, found, strict=True))
    other = sum(found) / len(found)  # for modes that were not seen
    temperature = {mode: round(float(np.exp(of_mode.get(mode, other))), 4) for mode in MODES}
    return Doubt(temperature, round(by_alerts, 4), round(by_trouble, 4))


class _Case(NamedTuple):
    """A scored example."""

    score: npt.NDArray[np.float64]  # (S,)
    root: npt.NDArray[np.bool_]  # (S,)
    mode: str
    source: str
    alerts: float  # log1p of how many the first service raises, on a list of alerts
    trouble: float  # share of services in trouble


def _case(score: npt.NDArray[np.float64], example: Example) -> _Case:
    graph, mode = example.graph, MODES[example.graph.mode]
    alerts = float(graph.x[int(np.argmax(score)), N_ALERTS]) if mode == "alerts" else 0.0
    trouble = float(in_trouble(graph).mean())
    source = _SIMULATED if example.source.startswith(_SIMULATED) else example.source
    return _Case(score, example.is_root > 0, mode, source, alerts, trouble)
