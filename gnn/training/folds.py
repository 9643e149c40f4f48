"""Cross-validation by groups: what belongs together is learnt from, or held out, together."""

from collections.abc import Iterator, Mapping, Sequence

from gnn.network.batch import Example

_FOLDS = 5


def folds_of(examples: Sequence[Example]) -> dict[str, int]:
    """The fold of each group, 0..4, in the order of their first examples."""
    groups = dict.fromkeys(example.group for example in examples)
    return {group: number % _FOLDS for number, group in enumerate(groups)}


def splits(
    examples: Sequence[Example], folds: Mapping[str, int]
) -> Iterator[tuple[list[Example], list[Example]]]:
    """For each fold the examples with a root in it and all examples outside, where both have a root."""
    for fold in sorted(set(folds.values())):
        held_out = [example for example in examples if folds[example.group] == fold and example.has_root]
        learnt = [example for example in examples if folds[example.group] != fold]
        if held_out and any(example.has_root for example in learnt):
            yield held_out, learnt
