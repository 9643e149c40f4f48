"""Measures what labels of other systems are worth: each set ranked by networks trained on all other sets.

Usage: transfer.py FOLDER > checkpoints/results/transfer.json – FOLDER holds incident files.
The shipped ranker, trained on simulation alone, is for comparison.
"""

import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_machine import machine

from agent.records.provenance import git_revision
from data.sources.files.reading import read_incidents
from gnn.evaluation.evaluate import evaluate, incident_source
from gnn.graph_ranker import load_ranker
from gnn.network.model import ModelConfig
from gnn.training.pipeline import train_checkpoint
from gnn.training.train import TrainConfig
from gnn.training.training_job import TrainingJob

SEEDS = (1, 2, 3)
SHOWN = ("ac@1", "ac@3")


def of_set(job: tuple[str, str]) -> list[dict[str, Any]]:
    """Accuracy on one set of networks (one per seed) trained on the other sets."""
    import torch

    torch.set_num_threads(1)
    folder, left_out = job
    files = sorted(Path(folder).glob("*.jsonl.gz"))
    others = [incident for file in files if file.name != left_out for incident in read_incidents(file)]
    asked = read_incidents(Path(folder) / left_out)
    rows = []
    for seed in SEEDS:
        config = TrainConfig(model=ModelConfig(convolution="edge"), seed=seed, device="cpu")
        with tempfile.TemporaryDirectory() as out:
            train_checkpoint(TrainingJob(config=config, out=Path(out), incidents=others))
            ranker = load_ranker(Path(out), "others")
        (found,) = evaluate([(ranker, None)], [incident_source(left_out, asked)])
        rows.append({key: found.record()[key] for key in (*SHOWN, "n")})
    return rows


def main(folder: str) -> None:
    started = time.perf_counter()
    names = [file.name for file in sorted(Path(folder).glob("*.jsonl.gz"))]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(of_set, [(folder, name) for name in names], chunksize=1)
    results = [
        {
            "source": name.removesuffix(".jsonl.gz"),
            "ranker": "labels of the other systems",
            "n": rows[0]["n"],
            **{key: round(float(np.mean([row[key] for row in rows])), 4) for key in SHOWN},
            **{f"{key}_of_seeds": [round(row[key], 4) for row in rows] for key in SHOWN},
        }
        for name, rows in zip(names, found, strict=True)
    ]
    config = {
        "training": "as `firewatch train --incidents` on all other files, GraphSAGE",
        "seeds": SEEDS,
        "command": "make transfer INCIDENTS=FOLDER",
        "machine": machine(),
        "seconds": round(time.perf_counter() - started),
    }
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
