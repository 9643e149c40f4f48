"""What a small model learnt: its episodes beside the rules', with hints, without and with wrong ones.

Usage: policy.py ADAPTER... PLAYED... > checkpoints/results/policy.json – see `make policy`.
ADAPTER are folders of `sft` and `grpo`, PLAYED those of ablations.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from bench_machine import machine

from agent.llm.weights import ADAPTER_CARD
from agent.records.provenance import git_revision
from gnn.evaluation.metrics import interval

HINTS = {"gnn": "the ranker's", "none": "none", "wrong": "wrong"}
DECIDERS = {"rules": "rules", "llm@smol": "base"}
HOW = {"sft": "SFT", "grpo": "SFT+GRPO"}
CARD = ("options", "examples", "held_out_examples", "steps", "seconds", "held_out_losses")

Episodes = Mapping[tuple[str, int], Mapping[str, Any]]


def arms(folders: Sequence[Path]) -> dict[tuple[str, str], Episodes]:
    """{(who decides, ranker): {task: its episode}}."""
    found: dict[tuple[str, str], dict[tuple[str, int], Any]] = defaultdict(dict)
    for folder in folders:
        for line in (folder / "episodes.jsonl").read_text(encoding="utf-8").splitlines():
            episode = json.loads(line)
            ranker, _, policy = episode["arm"].partition("+")
            found[decider(policy), ranker][episode["difficulty"], episode["seed"]] = episode
    return dict(found)


def decider(policy: str) -> str:
    """What a policy is called in the table; of an adapter, how it was taught."""
    if policy in DECIDERS:
        return DECIDERS[policy]
    card = json.loads((Path(policy.partition("@")[2]) / ADAPTER_CARD).read_text(encoding="utf-8"))
    return HOW[card["how"]]


def row(name: str, ranker: str, episodes: Episodes, rules: Episodes) -> dict[str, Any]:
    """How an arm did, and how much better than the rules with the same hints on the same tasks."""
    played = list(episodes.values())
    decisions: Counter[str] = sum((Counter(e["decisions"]) for e in played), Counter())
    asked = name != "rules"
    better = [e["score"] - rules[task]["score"] for task, e in episodes.items() if asked and task in rules]
    return {
        "decider": name,
        "hints": HINTS[ranker],
        "tasks": len(played),
        "score": round(mean(e["score"] for e in played), 4),
        "ci95": interval([e["score"] for e in played]),
        "against_rules": round(mean(better), 4) if better else None,
        "against_rules_ci95": interval(better) if better else None,
        "solved": sum(e["success"] for e in played),
        "valid_at_once": round(decisions["llm"] / decisions.total(), 4) if asked else None,
        "decisions": dict(decisions),
        "steps": round(mean(e["steps"] for e in played), 2),
        "wrong_remedies": round(mean(e["wrong_actions"] for e in played), 2),
        "seconds_a_decision": round(sum(e["seconds"] for e in played) / decisions.total(), 2),
    }


def main(folders: Sequence[Path]) -> None:
    adapters = [folder for folder in folders if (folder / ADAPTER_CARD).exists()]
    found = arms([folder for folder in folders if folder not in adapters])
    cards = [json.loads((folder / ADAPTER_CARD).read_text(encoding="utf-8")) for folder in adapters]
    result = {
        "results": [
            row(name, ranker, found[name, ranker], found.get(("rules", ranker), {}))
            for name in ("rules", "base", *HOW.values())
            for ranker in HINTS
            if (name, ranker) in found
        ],
        "taught": {HOW[card["how"]]: {name: card[name] for name in CARD if name in card} for card in cards},
        "config": {"command": "make policy", "machine": machine()},
        "git": git_revision(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main([Path(each) for each in sys.argv[1:]])
