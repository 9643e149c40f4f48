"""Measures how much of a figure is luck: the same recipe from several seeds, zero-shot on real incidents.

Usage: seeds.py FOLDER CHECKPOINT... > checkpoints/results/seeds.json – see `make seeds`.
"""

import json
import sys
from pathlib import Path

from bench_machine import machine

from agent.records.provenance import git_revision
from gnn.checkpoint import read_card
from gnn.evaluation.evaluate import evaluate, incident_sources
from gnn.graph_ranker import load_ranker

KEPT = ("source", "ranker", "n", "unscored", "ac@1", "ac@3", "ac@5", "mrr", "ece", "ci95")


def name_of(checkpoint: Path) -> str:
    """The seed, and whether it was trained on labels or by teachers."""
    training = read_card(checkpoint).training
    how = f"taught by {training['teachers']}" if training.get("teachers") else "alone"
    return f"seed {training['seed']}, {how}"


def main(folder: Path, checkpoints: list[Path]) -> None:
    rankers = [(load_ranker(path, name_of(path)), None) for path in checkpoints]
    sources = [source for file in sorted(folder.glob("*.jsonl.gz")) for source in incident_sources(file)]
    measured = evaluate(rankers, sources)
    results = [{key: each[key] for key in KEPT} for each in (result.record() for result in measured)]
    for each in results:
        each["source"] = Path(each["source"]).name.removesuffix(".jsonl.gz")
    config = {"command": "make seeds INCIDENTS=FOLDER", "machine": machine()}
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]])
