"""Measures what labels and past incidents of a system are worth beside the shipped ranker.

Usage: adaptation.py FOLDER > checkpoints/results/adaptation.json – FOLDER holds incident files.
With --cross-validate instead: each fifth of a set scored by a ranker trained on the rest, > …/trained.json.
With --unseen: each kind of fault scored by rankers trained on the others, > …/unseen.json; of more than
two hundred incidents, every second.
"""

import json
import sys
import tempfile
import time
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench_machine import machine

from agent.records.provenance import git_revision
from data.incident import Incident
from data.sources.files.reading import read_incidents
from gnn.evaluation.evaluate import evaluate, incident_source
from gnn.graph_ranker import load_ranker
from gnn.ranker import Ranker
from gnn.registry import make_ranker, shipped
from gnn.training.finetuning import FINETUNING
from gnn.training.pipeline import train_checkpoint
from gnn.training.train import TrainConfig
from gnn.training.training_job import TrainingJob

LEAST = 24  # incidents in a file worth halving
FOLDS = 5
MANY = 200  # incidents in a file, of which every second is enough for a training per kind of fault
KEPT = ("source", "ranker", "n", "unscored", "ac@1", "ac@3", "ac@5", "avg@5", "mrr", "ece", "ci95")


def learnt(name: str, labels: Sequence[Incident], history: Sequence[Incident] = ()) -> Ranker:
    """A ranker trained like `firewatch train`, from the shipped one.

    Args:
        name: as reported.
        labels: labelled incidents.
        history: incidents whose labels are taken away.
    """
    config = TrainConfig(seed=1, **FINETUNING)
    blind = [incident.labelled(()) for incident in history]
    with tempfile.TemporaryDirectory() as folder:
        train_checkpoint(
            TrainingJob(
                config=config,
                out=Path(folder),
                incidents=labels,
                history=blind,
                init=shipped("ranker"),
            )
        )
        return load_ranker(Path(folder), name)


def measured(rankers: Sequence[Ranker], name: str, incidents: Sequence[Incident]) -> list[dict[str, Any]]:
    found = evaluate([(ranker, None) for ranker in rankers], [incident_source(name, incidents)])
    return [{key: each[key] for key in KEPT} for each in (result.record() for result in found)]


def cross_validated(
    name: str, incidents: Sequence[Incident], groups: Sequence[Hashable], arm: str
) -> dict[str, Any]:
    """Means over all groups, each scored by a ranker trained on the others."""
    folds = []
    for group in dict.fromkeys(groups):
        seen = [incident for incident, its in zip(incidents, groups, strict=True) if its != group]
        aside = [incident for incident, its in zip(incidents, groups, strict=True) if its == group]
        folds += measured([learnt("trained", seen)], name, aside)
    share = [each["n"] / len(incidents) for each in folds]
    means = {
        key: round(sum(s * each[key] for s, each in zip(share, folds, strict=True)), 4)
        for key in ("ac@1", "ac@3", "ac@5", "avg@5", "mrr")
    }
    return {"source": name, "ranker": arm, "n": len(incidents), **means}


def in_fifths(name: str, incidents: Sequence[Incident]) -> Iterator[dict[str, Any]]:
    fifths = [number % FOLDS for number in range(len(incidents))]
    yield cross_validated(name, incidents, fifths, "trained on the rest, in fifths")


def unseen(name: str, incidents: Sequence[Incident]) -> Iterator[dict[str, Any]]:
    """Scores on faults whose labels were not used for training."""
    if len(incidents) > MANY:
        incidents = incidents[0::2]
    yield from measured([make_ranker("gnn")], name, incidents)
    faults = [incident.fault for incident in incidents]
    yield cross_validated(name, incidents, faults, "trained, no label of the fault")


MODES = {"--cross-validate": in_fifths, "--unseen": unseen}
SPLITS = {
    "": "every second incident of a file is learnt from, the others scored",
    "--cross-validate": f"{FOLDS} folds",
    "--unseen": "one kind of fault is scored, the others learnt from",
}


def main(folder: Path, mode: str) -> None:
    started = time.perf_counter()
    results: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.jsonl.gz")):
        incidents = read_incidents(file)
        if len(incidents) < LEAST:
            continue
        name = file.name.split(".")[0]
        if mode:
            results += MODES[mode](name, incidents)
            continue
        half, rest = incidents[0::2], incidents[1::2]
        rankers = [
            make_ranker("gnn"),
            *([learnt("history, no labels", (), half)] if half[0].alerts else []),
            learnt("trained on the labels", half),
        ]
        results += measured(rankers, f"{name}, {len(half)} labels", rest)
    config = {
        "split": SPLITS[mode],
        "adapting": FINETUNING,
        "command": f"tests/studies/adaptation.py FOLDER {mode}".rstrip(),
        "machine": machine(),
        "seconds": round(time.perf_counter() - started),
    }
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
