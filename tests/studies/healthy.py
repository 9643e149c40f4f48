"""Measures what healthy windows of a system are worth without labels: zero-shot, and adapted to its past.

Usage: healthy.py FOLDER > checkpoints/results/healthy.json – see `make healthy`. FOLDER holds
incident files; those without baselines are left out. Adapted to the baselines of the scored incidents, and
to those of the other half.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_machine import machine

from agent.records.provenance import git_revision
from data.incident import Incident
from data.simulator.batch.healthy import HealthyWindow, healthy_windows
from data.sources.files.reading import read_incidents
from gnn.evaluation.evaluate import evaluate, incident_source
from gnn.graph_ranker import load_ranker
from gnn.ranker import Ranker
from gnn.registry import make_ranker, shipped
from gnn.training.pipeline import train_checkpoint
from gnn.training.simulated_finetuning import SIMULATED_FINETUNING, WORLDS, worlds_of
from gnn.training.train import TrainConfig
from gnn.training.training_job import TrainingJob

SEEDS = (1, 2)
KEPT = ("ac@1", "ac@3", "ac@5", "mrr", "ece")


def adapted(windows: Sequence[HealthyWindow], seed: int) -> tuple[Ranker, float]:
    """The shipped ranker after `firewatch train --healthy`, and how far it went."""
    own, others = worlds_of(windows, WORLDS, seed)
    with tempfile.TemporaryDirectory() as folder:
        card, _ = train_checkpoint(
            TrainingJob(
                config=TrainConfig(seed=seed, **SIMULATED_FINETUNING),
                out=Path(folder),
                overlaid=own,
                simulated=others,
                init=shipped("ranker"),
            )
        )
        return load_ranker(Path(folder), "adapted"), float(card.metrics["adapted"] or 0.0)


def measured(pairs: Sequence[tuple[Ranker, Sequence[Incident]]]) -> dict[str, float]:
    """Means over all incidents, each with its ranker."""
    found = [evaluate([(ranker, None)], [incident_source("", cases)])[0].record() for ranker, cases in pairs]
    total = sum(each["n"] for each in found)
    return {key: round(sum(each["n"] * each[key] for each in found) / total, 4) for key in KEPT}


def rows(name: str, incidents: Sequence[Incident]) -> list[dict[str, Any]]:
    """Before, and after adapting to the same baselines and to others: means over the seeds."""
    halves = incidents[0::2], incidents[1::2]
    figures: dict[str, list[dict[str, float]]] = {}
    steps: dict[str, list[float]] = {}
    for seed in SEEDS:
        same, step = adapted(healthy_windows(incidents), seed)
        learnt = [adapted(healthy_windows(half), seed) for half in halves]
        apart = [(ranker, cases) for (ranker, _), cases in zip(learnt, reversed(halves), strict=True)]
        for ranker, pairs, far in (
            ("healthy windows", [(same, incidents)], [step]),
            ("healthy windows of the other half", apart, [step for _, step in learnt]),
        ):
            figures.setdefault(ranker, []).append(measured(pairs))
            steps.setdefault(ranker, []).extend(far)
    found = [{"source": name, "ranker": "gnn", **measured([(make_ranker("gnn"), incidents)])}]
    for ranker, of_seeds in figures.items():
        means = {key: round(sum(one[key] for one in of_seeds) / len(of_seeds), 4) for key in KEPT}
        by_seed = {str(seed): one["ac@1"] for seed, one in zip(SEEDS, of_seeds, strict=True)}
        found.append(
            {"source": name, "ranker": ranker, **means, "ac@1_by_seed": by_seed, "steps": steps[ranker]}
        )
    return found


def main(folder: Path) -> None:
    started = time.perf_counter()
    results: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.jsonl.gz")):
        incidents = read_incidents(file)
        if len(healthy_windows(incidents)) == len(incidents):
            results += [{**row, "n": len(incidents)} for row in rows(file.name.split(".")[0], incidents)]
    config = {
        "rehearsing": SIMULATED_FINETUNING,
        "worlds": WORLDS,
        "command": "tests/studies/healthy.py FOLDER",
        "machine": machine(),
        "seconds": round(time.perf_counter() - started),
    }
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
