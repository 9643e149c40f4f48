"""What labels of a system are worth: zero-shot, adapted and trained from scratch on the same held-out half.

Usage: python tests/adaptation.py FOLDER > checkpoints/results/adaptation.json – FOLDER holds incident files.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_machine import machine

from agent.provenance import git_revision
from data.incident import Incident
from data.incidents import read_incidents
from gnn.adapt import ADAPTING, adapt
from gnn.batch import examples_of
from gnn.checkpoint import load
from gnn.evaluate import evaluate, incident_source
from gnn.fit import FitJob, fit
from gnn.graph_ranker import load_ranker
from gnn.model import ModelConfig
from gnn.ranker import Ranker
from gnn.rankers import make_ranker, shipped
from gnn.train import TrainConfig, dev_ac1

LEAST = 24  # incidents in a file worth halving
EPOCHS = 30
FEW, DRAWS = (5, 10, 20), 3
KEPT = ("source", "ranker", "n", "unscored", "ac@1", "ac@3", "ac@5", "avg@5", "mrr", "ece", "ci95")


def learnt(name: str, half: list[Incident], folder: Path, init: Path | None) -> Ranker:
    """A ranker that learnt from `half`, on top of `init` or from nothing."""
    shape = ModelConfig(convolution="sage")
    config = TrainConfig(seed=1, **ADAPTING) if init else TrainConfig(model=shape, epochs=EPOCHS, seed=1)
    fit(FitJob(config=config, out=folder / name, incidents=half, init=init))
    return load_ranker(folder / name, name)


def few_labels(name: str, half: Sequence[Incident], rest: Sequence[Incident]) -> Iterator[dict[str, Any]]:
    """AC@1 on `rest` before and after a handful of labels, drawn several times from `half`."""
    start, _ = load(shipped("ranker"))
    scored = list(examples_of(rest))
    for labels in (number for number in FEW if number <= len(half)):
        after = []
        for draw in range(DRAWS):
            chosen = np.random.default_rng(draw).permutation(len(half))[:labels]
            examples = list(examples_of(half[i] for i in chosen))
            groups = [str(number) for number in range(len(examples))]
            config = TrainConfig(model=start.config, seed=1, **ADAPTING)
            after.append(round(dev_ac1(adapt(config, examples, groups, start).net, scored), 4))
        before = round(dev_ac1(start, scored), 4)
        yield {"source": name, "labels": labels, "n": len(scored), "ac@1_before": before, "ac@1": after}


def main(folder: Path) -> None:
    started = time.perf_counter()
    results: list[dict[str, Any]] = []
    few: list[dict[str, Any]] = []
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
        few += few_labels(file.name.split(".")[0], half, rest)
        results += [{key: each[key] for key in KEPT} for each in measured]
    config = {
        "split": "every second incident of a file is learnt from, the others are scored",
        "epochs": EPOCHS,
        "adapting": ADAPTING,
        "draws_of_few_labels": DRAWS,
        "command": "python tests/adaptation.py FOLDER",
        "machine": machine(),
        "seconds": round(time.perf_counter() - started),
    }
    print(
        json.dumps({"results": results, "few_labels": few, "config": config, "git": git_revision()}, indent=1)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
