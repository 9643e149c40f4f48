"""Gradient-boosted trees with a loss over whole incidents.

Gradient boosting (Friedman, "Greedy function approximation", Annals of Statistics 2001) of ListNet's top-one
loss (Cao et al., ICML 2007): what counts is who stands out in an incident, not how a service looks alone.

Shapes: N services of all incidents, F columns, G incidents, nodes of one tree.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn.per_system.forest import Forest, forest_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RUNS = 3  # independent runs, averaged: the order of trees is luck
_TREES = 200  # of a run
_RATE = 0.1  # learning rate
_DEPTH = 5
_LEAF = 3  # services in a leaf, at least
_COLUMNS = 0.2  # share of the columns that a split chooses from
_SEEN = 0.7  # share of the incidents that a tree is grown on
_CAUTION = 1.0  # added to the curvature, so that leaves with few services count less


def boost(
    rows: Floats, target: Floats, incident_of: Ints, seed: int, on_run: Callable[[], None] = lambda: None
) -> Forest:
    """Grows the trees; `predict(rows)[:, 0]` of the forest is the score of each service.

    Args:
        rows: (N, F).
        target: (N,) chance of each service to be the root; adds up to 1 in each incident.
        incident_of: (N,) 0..G-1, which incident each is of.
        seed: same seed, same trees.
    """
    rng = np.random.default_rng(seed)
    columns = np.asfortranarray(rows, dtype=np.float32)  # trees search column by column
    runs: list[tuple[list[Any], list[Floats]]] = []
    for _ in range(RUNS):
        runs.append(_run(columns, target, incident_of, rng))
        on_run()
    trees = [tree for own, _ in runs for tree in own]
    values = np.concatenate([value for _, own in runs for value in own])
    # A forest answers with the mean of its trees, boosted trees with the sum of a run.
    return forest_of(trees, (_TREES * values)[:, None].astype(np.float32))


def _run(
    columns: npt.NDArray[np.float32], target: Floats, incident_of: Ints, rng: np.random.Generator
) -> tuple[list[Any], list[Floats]]:
    """The trees, and the values (nodes,) of each."""
    from sklearn.tree import ExtraTreeRegressor

    incidents = int(incident_of.max()) + 1
    score = np.zeros(len(columns))
    trees: list[Any] = []
    values: list[Floats] = []
    for _ in range(_TREES):
        chance = _softmax(score, incident_of, incidents)
        missing = target - chance  # (N,) minus the gradient of the loss
        seen = _some(incidents, rng)[incident_of]
        model = ExtraTreeRegressor(
            max_depth=_DEPTH,
            min_samples_leaf=_LEAF,
            max_features=_COLUMNS,
            random_state=int(rng.integers(2**31)),
        ).fit(columns, missing, sample_weight=seen.astype(float), check_input=False)
        leaf = model.tree_.apply(columns)
        nodes = model.tree_.node_count
        curvature = np.bincount(leaf[seen], (chance * (1.0 - chance))[seen], nodes) + _CAUTION
        value = _RATE * np.bincount(leaf[seen], missing[seen], nodes) / curvature  # Newton's step
        score += value[leaf]
        trees.append(model.tree_)
        values.append(value)
    return trees, values


def _some(incidents: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which incidents a tree is grown on (G,), at least one."""
    drawn = rng.random(incidents)
    return drawn <= max(_SEEN, float(drawn.min()))


def _softmax(score: Floats, incident_of: Ints, incidents: int) -> Floats:
    """Within each incident: (N,)."""
    highest = np.full(incidents, -np.inf)
    np.maximum.at(highest, incident_of, score)
    risen = np.exp(score - highest[incident_of])
    return np.asarray(risen / np.bincount(incident_of, risen, incidents)[incident_of])
