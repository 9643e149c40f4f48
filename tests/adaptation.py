"""What labels of a system are worth: zero-shot, adapted and trained from scratch on the same held-out half.

Usage: python tests/adaptation.py FOLDER > checkpoints/results/adaptation.json – FOLDER holds incident files.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_machine import machine

from agent.provenance import git_revision
from data.incident import Incident
from data.incidents import read_incidents
from gnn.evaluate import evaluate, incident_source
from gnn.fit import FitJob, fit
from gnn.graph_ranker import load_ranker
from gnn.model import ModelConfig
from gnn.ranker import Ranker
from gnn.rankers import make_ranker, shipped
from gnn.train import TrainConfig

LEAST = 24  # incidents in a file worth halving
EPOCHS = 30
KEPT = ("source", "ranker", "n", "unscored", "ac@1", "ac@3", "ac@5", "avg@5", "mrr", "ece", "ci95")


def learnt(name: str, half: list[Incident], folder: Path, init: Path | None) -> Ranker:
    """A ranker that learnt from `half`, on top of `init` or from nothing."""
    config = TrainConfig(
        model=ModelConfig(convolution="sage"), epochs=EPOCHS, learning_rate=1e-3 if init else 2e-3, seed=1
    )
    fit(FitJob(config=config, out=folder / name, incidents=half, init=init))
    return load_ranker(folder / name, name)


def main(folder: Path) -> None:
    started = time.perf_counter()
    results: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.jsonl.gz")):
        incidents = read_incidents(file)
        if len(incidents) < LEAST:
            continue
        half, rest = list(incidents[0::2]), incidents[1::2]
        with tempfile.TemporaryDirectory() as scratch:
            rankers = [
                make_ranker("gnn"),
                learnt("adapted", half, Path(scratch), shipped("ranker")),
                learnt("from scratch", half, Path(scratch), None),
            ]
            source = incident_source(f"{file.name.split('.')[0]}, {len(half)} labels", rest)
            measured = evaluate([(ranker, None) for ranker in rankers], [source])
        results += [{key: each[key] for key in KEPT} for each in measured]
    config = {
        "split": "every second incident of a file is learnt from, the others are scored",
        "epochs": EPOCHS,
        "command": "python tests/adaptation.py FOLDER",
        "machine": machine(),
        "seconds": round(time.perf_counter() - started),
    }
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
