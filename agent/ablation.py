"""The figures of an ablation: run folders of several arms in, means, intervals and paired comparisons out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from agent.menu import REMEDIES
from agent.statistics import Comparison, Key, compare, corrected, topology_of
from gnn.metrics import interval

Record = Mapping[str, Any]

# measure → (how it is read from an episode, whether it is yes or no)
_MEASURES: dict[str, tuple[Callable[[Record], float], bool]] = {
    "score": (lambda e: _number(e["score"]), False),
    "solved": (lambda e: float(e["success"]), True),
    "steps": (lambda e: float(e["steps"]), False),
    "ticks_to_mitigation": (lambda e: _number(e["mitigated_at_tick"]), False),
    "wrong_remedies": (lambda e: float(e["wrong_actions"]), False),
    "tokens": (lambda e: float(e["tokens"]["prompt"] + e["tokens"]["completion"]), False),
    "cost_usd": (lambda e: float(e["cost_usd"]), False),
    "seconds": (lambda e: float(e["seconds"]), False),
}
_COMPARED = ("score", "solved")


@dataclass(frozen=True)
class Arm:
    """One combination of parts, with the records of its run folder."""

    ranker: str
    policy: str
    episodes: Sequence[Record]
    steps: Sequence[Record]

    @property
    def name(self) -> str:
        """Such as "gnn+rules"."""
        return f"{self.ranker}+{self.policy}"


def figures(arms: Sequence[Arm], seed: int) -> dict[str, Any]:
    """What the result file says about the arms; the first is what the others are compared with."""
    clusters = {
        key_of(s): topology_of(s["observation"].get("dependency_graph", {})) for a in arms for s in a.steps
    }
    return {
        "arms": [_arm(arm, clusters, seed) for arm in arms],
        "comparisons": [asdict(c) | {"verdict": c.verdict} for c in _comparisons(arms, clusters, seed)],
    }


def key_of(record: Record) -> Key:
    """What pairs the same task and seed across arms."""
    return record["task"], record["seed"]


def _arm(arm: Arm, clusters: Mapping[Key, str], seed: int) -> dict[str, Any]:
    difficulties = sorted({e["difficulty"] for e in arm.episodes})
    return {
        "arm": arm.name,
        "ranker": arm.ranker,
        "policy": arm.policy,
        **_means(arm.episodes, clusters, seed),
        "first_ranking": _first_ranking(arm),
        "hint_use": hint_use(arm),
        "decisions": _decisions(arm.episodes),
        "by_difficulty": {
            name: _means([e for e in arm.episodes if e["difficulty"] == name], clusters, seed)
            for name in difficulties
        },
    }


def _means(episodes: Sequence[Record], clusters: Mapping[Key, str], seed: int) -> dict[str, Any]:
    result: dict[str, Any] = {"n": len(episodes), "ungraded": sum(e["score"] is None for e in episodes)}
    intervals = {}
    for name, (read, _) in _MEASURES.items():
        known = [(read(e), clusters.get(key_of(e), e["task"])) for e in episodes]
        kept = [(value, cluster) for value, cluster in known if not math.isnan(value)]
        result[name] = fmean(value for value, _ in kept) if kept else None
        if name in _COMPARED and kept:
            intervals[name] = list(interval([v for v, _ in kept], [c for _, c in kept], seed=seed))
    return {**result, "ci95": intervals}


def _first_ranking(arm: Arm) -> dict[str, Any]:
    """How often a true root cause stood first, or among three, before anything was done."""
    roots = {key_of(e): set(e["root_causes"]) for e in arm.episodes if e["root_causes"]}
    firsts = [s for s in arm.steps if s["step"] == 1 and s["ranking"] and key_of(s) in roots]
    order = [([c["service"] for c in s["ranking"]["candidates"]], roots[key_of(s)]) for s in firsts]
    return {
        "n": len(order),
        **{
            f"ac@{k}": fmean(bool(true & set(names[:k])) for names, true in order) if order else None
            for k in (1, 3)
        },
    }


def hint_use(arm: Arm) -> dict[str, int]:
    """What became of the ranker's first suspect at each task's first remedy.

    followed: a right hint was taken; overrode: a right one was not; misled: a wrong one was taken; rescued: a
    wrong one was left and a true root cause remedied; lost: a wrong one was left for another innocent.
    """
    roots = {key_of(e): set(e["root_causes"]) for e in arm.episodes if e["root_causes"]}
    counts = dict.fromkeys(("followed", "overrode", "misled", "rescued", "lost"), 0)
    seen: set[Key] = set()
    for step in arm.steps:
        key, action = key_of(step), step["action"]
        if key in seen or key not in roots or action["action_type"] not in REMEDIES:
            continue
        if not step["ranking"] or not step["ranking"]["candidates"]:
            continue
        seen.add(key)
        hint, target = step["ranking"]["candidates"][0]["service"], action.get("target_service")
        if hint in roots[key]:
            counts["followed" if target == hint else "overrode"] += 1
        elif target == hint:
            counts["misled"] += 1
        else:
            counts["rescued" if target in roots[key] else "lost"] += 1
    return counts


def _decisions(episodes: Sequence[Record]) -> dict[str, int]:
    total: dict[str, int] = {}
    for episode in episodes:
        for source, count in episode["decisions"].items():
            total[source] = total.get(source, 0) + count
    return total


def _comparisons(arms: Sequence[Arm], clusters: Mapping[Key, str], seed: int) -> Sequence[Comparison]:
    """Every other arm against the first, in score and solved, corrected for all of them together."""
    reference, *others = arms
    return corrected(
        [
            compare(
                measure,
                (reference.name, _values(reference, measure)),
                (arm.name, _values(arm, measure)),
                clusters,
                binary=_MEASURES[measure][1],
                seed=seed,
            )
            for arm in others
            for measure in _COMPARED
        ]
    )


def _values(arm: Arm, measure: str) -> dict[Key, float]:
    return {key_of(e): _MEASURES[measure][0](e) for e in arm.episodes}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
