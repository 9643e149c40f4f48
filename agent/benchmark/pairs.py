"""Paired comparisons of an ablation, and the values behind them, which a result keeps."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import compress, count

from agent.benchmark.arms import Arm
from agent.benchmark.hint_use import ArmEpisode
from agent.benchmark.plan import Played
from agent.benchmark.results import Block, Comparison, RankedSource
from agent.benchmark.statistics import compare_pairs, corrected
from agent.records.lines import Key

KEPT = ("score", "solved", "steps", "ticks_to_mitigation", "wrong_remedies", "slo_budget_left")
COMPARED = ("score", "solved")
RANKED = ("ac@1", "ac@3", "avg@5", "mrr")
RANKED_COMPARED = ("ac@1", "avg@5")


def episode_values(arms: Sequence[Played], measures: Mapping[str, Callable[[ArmEpisode], float]]) -> Block:
    """The values of every arm in every task, with the tasks' call graphs as clusters."""
    clusters = {e.key: e.topology for played in arms for e in played.episodes}
    values = {}
    for played in arms:
        by_key = {e.key: e for e in played.episodes}
        values[played.arm.name] = {
            name: [measures[name](by_key[key]) if key in by_key else math.nan for key in clusters]
            for name in KEPT
        }
    return Block(keys=tuple(clusters), clusters=tuple(clusters.values()), values=values)


def ranking_values(rankings: Sequence[RankedSource]) -> dict[str, Block]:
    """The values of every ranker on every first observation and incident, by source."""
    by_source: dict[str, list[RankedSource]] = {}
    for entry in rankings:
        by_source.setdefault(entry.source, []).append(entry)
    return {source: _ranked_block(entries) for source, entries in by_source.items()}


def _ranked_block(entries: Sequence[RankedSource]) -> Block:
    first = entries[0].first
    values = {e.ranker: {k: v for k, v in e.first.record().items() if k in RANKED} for e in entries}
    return Block(keys=_numbered(first.clusters), clusters=first.clusters, kinds=first.kinds, values=values)


def _numbered(names: Sequence[str]) -> tuple[Key, ...]:
    """Names as keys, with a number for repeats."""
    numbers: defaultdict[str, Iterator[int]] = defaultdict(count)
    return tuple((name, next(numbers[name])) for name in names)


def episode_comparisons(block: Block, arms: Sequence[Arm], seed: int) -> Sequence[Comparison]:
    """Compares each policy's arms with its first arm, and every other policy with the first one.

    Policies are compared with the same ranker or, if the first one was not played with it, by their first
    arms. Holm's correction covers all comparisons together.
    """
    first_of: dict[str, Arm] = {}
    pairs = []
    for arm in arms:
        reference = first_of.setdefault(arm.policy, arm)
        if reference != arm:
            pairs.append((reference, arm))
    for arm in arms:
        same_ranker = Arm(arm.ranker, arms[0].policy)
        if arm.policy != arms[0].policy and (same_ranker in arms or arm == first_of[arm.policy]):
            pairs.append((same_ranker if same_ranker in arms else arms[0], arm))
    return corrected(
        [
            compared(block, measure, reference.name, block, arm.name, seed)
            for reference, arm in pairs
            for measure in COMPARED
        ]
    )


def ranking_comparisons(blocks: Mapping[str, Block], seed: int) -> Sequence[Comparison]:
    """Compares every ranker with the first, for each source and each of its difficulties.

    Holm's correction covers all of them together.
    """
    return corrected(
        [
            compared(block, measure, reference, block, ranker, seed, source)
            for whole, entire in blocks.items()
            for source, block in {whole: entire, **_by_kind(whole, entire)}.items()
            for reference, *others in [list(block.values)]
            for ranker in others
            for measure in RANKED_COMPARED
        ]
    )


def _by_kind(source: str, block: Block) -> dict[str, Block]:
    """Splits a block by kind, with names such as "tasks, hard"; empty if there is only one kind."""
    kinds = dict.fromkeys(kind for kind in block.kinds if kind)
    if len(kinds) < 2:
        return {}
    parts: dict[str, Block] = {}
    for kind in kinds:
        of_kind = [own == kind for own in block.kinds]
        parts[f"{source}, {kind}"] = Block(
            keys=tuple(compress(block.keys, of_kind)),
            clusters=tuple(compress(block.clusters, of_kind)),
            values={
                name: {measure: tuple(compress(values, of_kind)) for measure, values in measures.items()}
                for name, measures in block.values.items()
            },
        )
    return parts


def compared(
    before: Block,
    measure: str,
    reference: str,
    after: Block,
    arm: str,
    seed: int,
    of: str = "episodes",
) -> Comparison:
    """Compares `arm` of one block with `reference` of another or the same block."""
    old, new = _values(before, reference, measure), _values(after, arm, measure)
    clusters: dict[Hashable, str] = dict(zip(after.keys, after.clusters, strict=True))
    scored = {value for values in (old, new) for value in values.values() if not math.isnan(value)}
    return compare_pairs(
        measure, (reference, old), (arm, new), clusters, binary=scored <= {0.0, 1.0}, of=of, seed=seed
    )


def _values(block: Block, name: str, measure: str) -> dict[Hashable, float]:
    return dict(zip(block.keys, block.values[name][measure], strict=True))
