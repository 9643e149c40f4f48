"""Laws of the trees: their confidence is limited, uninformative columns are ignored, arrays round-trip."""

from collections.abc import Sequence

import numpy as np

from gnn.per_system.boosting import Ints, boost
from gnn.per_system.forest import grow
from gnn.per_system.system_ensemble import Floats, log_softmax


def crowd(sizes: Sequence[int]) -> tuple[Ints, Floats, Floats]:
    """Each service's incident, target, and a column that reveals the root cause, for these sizes."""
    rng = np.random.default_rng(0)
    incident_of = np.repeat(np.arange(len(sizes)), sizes)
    target = np.concatenate([np.eye(size)[rng.integers(size)] for size in sizes])
    return incident_of, target, (rng.normal(size=len(target)) + 4.0 * target)[:, None]


def test_boosted_trees_end_about_as_sure_as_they_may_be() -> None:
    incident_of, target, rows = crowd([5] * 60)
    trees = boost(rows, target, incident_of, 1)
    score = trees.predict(rows)[:, 0].reshape(60, 5)
    chances = np.exp([log_softmax(row) for row in score])[target.reshape(60, 5) > 0]
    assert 0.9 < chances.mean() < 0.995
    assert np.array_equal(boost(rows, target, incident_of, 1).value, trees.value)
    assert not np.array_equal(boost(rows, target, incident_of, 2).value, trees.value)


def test_what_all_services_of_an_incident_share_teaches_boosted_trees_nothing() -> None:
    sizes = np.random.default_rng(1).integers(2, 9, size=60)
    incident_of, target, _ = crowd(sizes.tolist())
    shared = np.stack([sizes, np.random.default_rng(2).normal(size=60)], axis=1)[incident_of]
    trees = boost(shared.astype(float), target, incident_of, 1)
    assert np.abs(trees.predict(shared)).max() < 1e-6


def test_boosted_trees_of_one_service_say_nothing() -> None:
    alone = boost(np.zeros((1, 2)), np.ones(1), np.zeros(1, dtype=np.int64), 0)
    assert np.allclose(alone.predict(np.zeros((3, 2))), 0.0)


def test_a_forest_read_as_arrays_says_what_scikit_learn_says() -> None:
    from sklearn.ensemble import ExtraTreesClassifier

    rng = np.random.default_rng(0)
    rows, classes = rng.normal(size=(80, 6)), rng.integers(0, 3, 80).astype(np.int32)
    settings = {"n_estimators": 7, "min_samples_leaf": 2, "max_features": 0.5, "bootstrap": True}
    model = ExtraTreesClassifier(**settings, random_state=3).fit(rows, classes)
    forest = grow(rows, classes, 4, 3, columns=0.5, trees=7)
    asked = rng.normal(size=(50, 6))
    assert np.allclose(forest.predict(asked)[:, :3], model.predict_proba(asked))
    assert not forest.predict(asked)[:, 3].any()
