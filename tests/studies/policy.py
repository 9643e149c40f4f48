"""What the small model learnt: its episodes before and after, with hints, without and with wrong ones.

Usage: policy.py ADAPTER BEFORE AFTER... > checkpoints/results/policy.json – see `make policy`.
BEFORE and AFTER are folders of ablations; the rules play in AFTER, too.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from bench_machine import machine

from agent.records.provenance import git_revision
from gnn.evaluation.metrics import interval

HINTS = {"gnn": "the ranker's", "none": "none", "wrong": "wrong"}
TAUGHT = ("examples", "held_out_examples", "steps", "seconds", "held_out_losses")

Episodes = Mapping[tuple[str, int], Mapping[str, Any]]


def arms(folder: Path) -> dict[str, Episodes]:
    """{arm: {task: its episode}}."""
    found: dict[str, dict[tuple[str, int], Any]] = defaultdict(dict)
    for line in (folder / "episodes.jsonl").read_text(encoding="utf-8").splitlines():
        episode = json.loads(line)
        found[episode["arm"]][episode["difficulty"], episode["seed"]] = episode
    return dict(found)


def row(decider: str, ranker: str, episodes: Episodes, rules: Episodes) -> dict[str, Any]:
    """How an arm did, and how much better than the rules with the same hints on the same tasks."""
    played = list(episodes.values())
    decisions: Counter[str] = sum((Counter(e["decisions"]) for e in played), Counter())
    asked = decider != "rules"
    better = [e["score"] - rules[task]["score"] for task, e in episodes.items() if task in rules]
    return {
        "decider": decider,
        "hints": HINTS[ranker],
        "tasks": len(played),
        "score": round(mean(e["score"] for e in played), 4),
        "ci95": interval([e["score"] for e in played]),
        "against_rules": round(mean(better), 4) if asked and better else None,
        "against_rules_ci95": interval(better) if asked and better else None,
        "solved": sum(e["success"] for e in played),
        "valid_at_once": round(decisions["llm"] / decisions.total(), 4) if asked else None,
        "decisions": dict(decisions),
        "steps": round(mean(e["steps"] for e in played), 2),
        "wrong_remedies": round(mean(e["wrong_actions"] for e in played), 2),
        "seconds_a_decision": round(sum(e["seconds"] for e in played) / decisions.total(), 2),
    }


def main(adapter: Path, before: Path, after: Sequence[Path]) -> None:
    card = json.loads((adapter / "card.json").read_text(encoding="utf-8"))
    learnt = {name: found for folder in after for name, found in arms(folder).items()}
    deciders = {"rules": ("rules", learnt), "base": ("llm", arms(before)), "SFT": ("llm", learnt)}
    results = [
        row(decider, ranker, found[f"{ranker}+{policy}"], learnt.get(f"{ranker}+rules", {}))
        for decider, (policy, found) in deciders.items()
        for ranker in HINTS
        if f"{ranker}+{policy}" in found
    ]
    config = {"command": "make policy", "machine": machine(), "options": card["options"]}
    sft = {name: card[name] for name in TAUGHT}
    print(json.dumps({"results": results, "sft": sft, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(each) for each in sys.argv[3:]])
