"""What the small model learnt: its episodes before and after, with hints, without and with wrong ones.

Usage: policy.py ADAPTER BEFORE AFTER [GRPO] > checkpoints/results/policy.json – see `make policy`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from bench_machine import machine

from agent.benchmark.plan import RESULT
from agent.records.provenance import git_revision

HINTS = {"gnn": "the ranker's", "none": "none", "wrong": "wrong"}
KEPT = ("n", "score", "solved", "steps", "wrong_remedies", "seconds", "tokens", "ci95", "decisions")
TAUGHT = ("examples", "held_out_examples", "steps", "seconds", "held_out_losses")
REINFORCED = ("steps", "seconds", "held_out_reward_before", "held_out_reward_after", "curve")


def rows(folder: Path, model: str) -> list[dict[str, Any]]:
    """The arms of one ablation."""
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    found = []
    for arm in result["arms"]:
        decisions = arm["decisions"]
        decider = model if arm["policy"] == "llm" else arm["policy"]
        valid = decisions.get("llm", 0) / sum(decisions.values()) if arm["policy"] == "llm" else None
        kept = {name: arm[name] for name in KEPT}
        found.append({"decider": decider, "hints": HINTS[arm["ranker"]], "valid_at_once": valid, **kept})
    return found


def main(adapter: Path, before: Path, after: Path, grpo: Path | None = None) -> None:
    cards = {
        name: json.loads((path / "card.json").read_text(encoding="utf-8"))
        for name, path in (("sft", adapter), *((("grpo", grpo),) if grpo else ()))
    }
    results = [*rows(after, "SFT"), *(row for row in rows(before, "base") if row["decider"] == "base")]
    taught = {name: cards["sft"][name] for name in TAUGHT}
    reinforced = {name: cards["grpo"][name] for name in REINFORCED} if grpo else None
    config = {"command": "make policy", "machine": machine(), "options": cards["sft"]["options"]}
    told = {"results": results, "sft": taught, "grpo": reinforced, "config": config, "git": git_revision()}
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
