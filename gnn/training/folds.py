"""Cross-validation by groups: what belongs together is learnt from, or held aside, together."""

from collections.abc import Iterator, Sequence

_FOLDS = 5


def folds_of(groups: Sequence[str]) -> tuple[int, ...]:
    """The fold of each example, 0..4, by its group."""
    order = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return tuple(order[group] % _FOLDS for group in groups)


def splits(folds: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """For each fold the numbers of the examples in it, and of those outside."""
    for fold in sorted(set(folds)):
        yield (
            [number for number, its in enumerate(folds) if its == fold],
            [number for number, its in enumerate(folds) if its != fold],
        )
