"""Cross-validation by groups: no group is ever divided."""

from collections.abc import Iterator, Mapping, Sequence

from gnn.network.batch import Example

_FOLDS = 5


def folds_of(examples: Sequence[Example]) -> dict[str, int]:
    """The fold of each group, 0..4, in the order of their first examples."""
    groups = dict.fromkeys(example.group for example in examples)
    return {group: number % _FOLDS for number, group in enumerate(groups)}


def kinds_of(examples: Sequence[Example]) -> dict[str, int]:
    """Folds by kind of fault, 0..4: a network that trains on the others has seen none of the kinds held out.

    Empty with fewer than two named kinds. A group whose fault has no name is never held out (-1).
    """
    faults = {example.group: example.fault for example in examples if example.fault and example.has_root}
    number = {fault: place % _FOLDS for place, fault in enumerate(dict.fromkeys(faults.values()))}
    if len(number) < 2:
        return {}
    return {example.group: number.get(faults.get(example.group, ""), -1) for example in examples}


def splits(
    examples: Sequence[Example], folds: Mapping[str, int]
) -> Iterator[tuple[list[Example], list[Example]]]:
    """For each fold the examples with a root in it and all examples outside, where both have a root."""
    for fold in sorted(set(folds.values()) - {-1}):
        held_out = [example for example in examples if folds[example.group] == fold and example.has_root]
        learnt = [example for example in examples if folds[example.group] != fold]
        if held_out and any(example.has_root for example in learnt):
            yield held_out, learnt
