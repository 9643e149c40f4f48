"""A forest of decision trees as plain arrays: grown by scikit-learn, read without it.

Shapes: N rows, F columns, C classes, T trees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Forest:
    """All nodes of all trees side by side; a leaf is its own child."""

    first: Ints  # (T,) the top node of each tree
    column: Ints  # (nodes,)
    threshold: Floats  # (nodes,) up to it left, above it right
    left: Ints  # (nodes,)
    right: Ints  # (nodes,)
    value: npt.NDArray[np.float32]  # (nodes, C) what a node answers: the share of each class, or a score
    depth: Ints  # (1,) of the deepest tree

    def predict(self, rows: Floats) -> Floats:
        """The mean answer of the trees, (N, C), for rows (N, F)."""
        x = rows.astype(np.float32)  # as the trees were grown
        node = np.broadcast_to(self.first, (len(x), len(self.first)))
        start = np.arange(len(x))[:, None] * x.shape[1]  # of each row in the flat block
        flat = x.ravel()
        for _ in range(int(self.depth[0])):
            right = flat.take(start + self.column.take(node)) > self.threshold.take(node)
            below = self._children.take(2 * node + right)
            if (below == node).all():
                break
            node = below
        return np.asarray(self.value.take(node, axis=0).mean(axis=1, dtype=float))

    @cached_property
    def _children(self) -> Ints:
        return np.stack([self.left, self.right], axis=1).ravel()

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """The parts by name, for a file."""
        return {f"{prefix}{part.name}": getattr(self, part.name) for part in fields(self)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> "Forest":
        """What `arrays` wrote.

        Raises:
            KeyError: a part is missing.
            ValueError: the parts do not make a forest.
        """
        forest = Forest(**{part.name: arrays[f"{prefix}{part.name}"] for part in fields(Forest)})
        nodes = len(forest.value)
        sides = (forest.left, forest.right, forest.column, forest.threshold)
        pointers = np.concatenate([forest.first, forest.left, forest.right])
        if not all(np.issubdtype(part.dtype, np.integer) for part in (pointers, forest.column, forest.depth)):
            raise ValueError("a node points nowhere")
        if not (np.isfinite(forest.value).all() and np.isfinite(forest.threshold).all()):
            raise ValueError("its numbers are not finite")
        if any(part.shape != (nodes,) for part in sides) or forest.value.ndim != 2:
            raise ValueError("its parts are not equally long")
        if forest.depth.shape != (1,) or forest.depth[0] > nodes:
            raise ValueError("its depth is wrong")
        if not len(forest.first) or pointers.min() < 0 or pointers.max() >= nodes or forest.column.min() < 0:
            raise ValueError("a node points outside")
        return forest


def grow(rows: Floats, classes: Ints, count: int, seed: int, *, columns: float, trees: int) -> Forest:
    """Grows extremely randomised trees (Geurts et al., "Extremely randomized trees", Machine Learning 2006).

    Args:
        rows: (N, F).
        classes: (N,) below `count`; a class without rows gets share 0.
        count: C.
        seed: same seed, same trees.
        columns: share of the columns that each split chooses from.
        trees: T.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    model = ExtraTreesClassifier(
        n_estimators=trees, min_samples_leaf=2, max_features=columns, bootstrap=True, random_state=seed
    ).fit(rows, classes)
    parts = [estimator.tree_ for estimator in model.estimators_]
    share = np.zeros((sum(tree.node_count for tree in parts), count), dtype=np.float32)
    share[:, model.classes_] = np.concatenate([tree.value[:, 0, :] for tree in parts])
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
    return forest_of(parts, share)


def forest_of(trees: Sequence[Any], value: npt.NDArray[np.float32]) -> Forest:
    """Lays trees side by side.

    Args:
        trees: T of scikit-learn's, the `tree_` of an estimator.
        value: (nodes, C) what all nodes of the first, the second … of them answer.
    """
    sizes = [tree.node_count for tree in trees]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    node = np.arange(sum(sizes))
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])

    def children(side: str) -> Ints:
        shifted = [getattr(tree, side) + start for tree, start in zip(trees, starts, strict=True)]
        return np.where(leaf, node, np.concatenate(shifted)).astype(np.int32)

    column = np.concatenate([tree.feature for tree in trees])
    return Forest(
        first=starts,
        column=np.where(leaf, 0, column).astype(np.int32),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        left=children("children_left"),
        right=children("children_right"),
        value=value,
        depth=np.array([max(tree.max_depth for tree in trees)], dtype=np.int32),
    )
