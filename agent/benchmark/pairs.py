"""Paired comparisons of an ablation, and the values behind them, which a result keeps."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agent.benchmark.arms import Arm
from agent.benchmark.hint_use import ArmEpisode
from agent.benchmark.plan import Played
from agent.benchmark.statistics import Comparison, Key, compare_pairs, corrected

# {"keys": […], "clusters": […], "values": {arm or ranker: {measure: [one per key, null if unscored]}}};
# rankings also have "kinds": each key's difficulty or "".
Block = Mapping[str, Any]

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
    return {"keys": [list(key) for key in clusters], "clusters": list(clusters.values()), "values": values}


def ranking_values(rankings: Sequence[Mapping[str, Any]]) -> dict[str, Block]:
    """The values of every ranker on every first observation and incident, by source."""
    blocks: dict[str, Any] = {}
    for entry in rankings:
        clusters = entry["first"]["clusters"]
        frame = {"keys": _numbered(clusters), "clusters": clusters, "kinds": entry["first"]["kinds"]}
        block = blocks.setdefault(entry["source"], {**frame, "values": {}})
        block["values"][entry["ranker"]] = {name: entry["first"][name] for name in RANKED}
    return blocks


def _numbered(names: Sequence[str]) -> list[list[Any]]:
    """Names as keys, with a number for repeats."""
    seen: dict[str, int] = {}
    keys: list[list[Any]] = []
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        keys.append([name, seen[name]])
    return keys


def episode_comparisons(block: Block, arms: Sequence[Arm], seed: int) -> list[dict[str, Any]]:
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
    made = [
        compared(block, measure, reference.name, block, arm.name, seed)
        for reference, arm in pairs
        for measure in COMPARED
    ]
    return [_record(comparison, "episodes") for comparison in corrected(made)]


def ranking_comparisons(blocks: Mapping[str, Block], seed: int) -> list[dict[str, Any]]:
    """Compares every ranker with the first, for each source and each of its difficulties.

    Holm's correction covers all of them together.
    """
    made = [
        (source, compared(block, measure, reference, block, ranker, seed))
        for whole, entire in blocks.items()
        for source, block in {whole: entire, **_by_kind(whole, entire)}.items()
        for reference, *others in [list(block["values"])]
        for ranker in others
        for measure in RANKED_COMPARED
    ]
    sources = [source for source, _ in made]
    together = corrected([comparison for _, comparison in made])
    return [_record(c, source) for source, c in zip(sources, together, strict=True)]


def _by_kind(source: str, block: Block) -> dict[str, Block]:
    """Splits a block by kind, with names such as "tasks, hard"; empty if there is only one kind."""
    kinds = dict.fromkeys(kind for kind in block["kinds"] if kind)
    if len(kinds) < 2:
        return {}
    parts: dict[str, Block] = {}
    for kind in kinds:
        of_kind = [index for index, own in enumerate(block["kinds"]) if own == kind]
        parts[f"{source}, {kind}"] = {
            "keys": [block["keys"][index] for index in of_kind],
            "clusters": [block["clusters"][index] for index in of_kind],
            "values": {
                name: {measure: [values[index] for index in of_kind] for measure, values in measures.items()}
                for name, measures in block["values"].items()
            },
        }
    return parts


def compared(before: Block, measure: str, reference: str, after: Block, arm: str, seed: int) -> Comparison:
    """Compares `arm` of one block with `reference` of another or the same block."""
    old, new = _values(before, reference, measure), _values(after, arm, measure)
    clusters: dict[Key, Any] = dict(zip(map(tuple, after["keys"]), after["clusters"], strict=True))
    scored = {value for values in (old, new) for value in values.values() if not math.isnan(value)}
    return compare_pairs(
        measure, (reference, old), (arm, new), clusters, binary=scored <= {0.0, 1.0}, seed=seed
    )


def _values(block: Block, name: str, measure: str) -> dict[Key, float]:
    return {
        tuple(key): math.nan if value is None else value
        for key, value in zip(block["keys"], block["values"][name][measure], strict=True)
    }


def _record(comparison: Comparison, of: str) -> dict[str, Any]:
    return {"of": of, **asdict(comparison), "verdict": comparison.verdict}
