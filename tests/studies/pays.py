"""Measures what pays: networks trained without the graph, what is known of calls, replicas, or some faults.

Usage: pays.py [FOLDER] > checkpoints/results/pays.json – FOLDER holds incident files.
A quarter of the shipped worlds and no episodes, three seeds per arm; all arms of a seed use the same worlds.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_machine import machine

from agent.records.provenance import git_revision
from data.simulator.batch.generate import SimulationConfig, simulate
from data.sources.files.reading import read_incidents
from gnn.evaluation.metrics import CaseScore, score_ranking
from gnn.features.featurize import SERVICE_FEATURES
from gnn.network.batch import Example, examples_of
from gnn.network.model import Convolution, ModelConfig
from gnn.ranker import Candidate, Ranking
from gnn.training.train import TrainConfig, score_examples, train

SEEDS = (1, 2, 3)
WORLDS, EPOCHS = 4000, 5
TEST_SEED, TEST_WORLDS = 1_000_003, 600
NETWORK_FAULTS = ("network_delay", "packet_loss", "network_partition")


@dataclass(frozen=True)
class Arm:
    """One network to train."""

    name: str
    convolution: Convolution = "edge"
    without: tuple[str, ...] = ()  # hidden columns, or statistics of every channel
    simulator: dict[str, float] = field(default_factory=dict)


ARMS = (
    Arm("all"),
    Arm("graph-free", "none"),
    Arm("no call features", "sage"),
    Arm("no twins", without=("twin", "twin_alike", "twin_excess")),
    Arm("no injectors' faults in worlds", simulator={"injected": 0.0, "injected_alerts": 0.0}),
)


def hide(examples: Sequence[Example], names: Sequence[str]) -> list[Example]:
    """The examples with zeros in the columns that equal, or end in, one of `names`."""
    columns = [i for i, full in enumerate(SERVICE_FEATURES) if full in names or full.split(".")[-1] in names]
    if not columns:
        return list(examples)
    hidden = []
    for example in examples:
        x = example.graph.x.copy()
        x[:, columns] = 0.0
        hidden.append(example._replace(graph=example.graph._replace(x=x)))
    return hidden


def learn(
    examples: Sequence[Example], arm: Arm, seed: int, tests: dict[str, list[Example]]
) -> dict[str, Any]:
    """AC@1 and AC@3 of one network on each test set."""
    model = ModelConfig(convolution=arm.convolution)
    config = TrainConfig(model=model, epochs=EPOCHS, batch_graphs=48, seed=seed, device="cpu")
    net = train(config, hide(examples, arm.without))
    found = {}
    for source, cases in tests.items():
        seen = hide(cases, arm.without)
        scored = [_score(points, case) for points, case in zip(score_examples(net, seen), cases, strict=True)]
        found[source] = {f"ac@{k}": float(np.mean([each.ac[k - 1] for each in scored])) for k in (1, 3)}
    return found


def _score(points: np.ndarray[Any, Any], case: Example) -> CaseScore:
    names = [str(i) for i in range(len(points))]
    order = np.argsort(-points, kind="stable")
    ranking = Ranking(tuple(Candidate(names[i], float(points[i])) for i in order), "net")
    return score_ranking(ranking, len(names), [names[i] for i in np.flatnonzero(case.is_root)])


def of_seed(job: tuple[int, str | None]) -> list[dict[str, Any]]:
    """All arms of one seed."""
    import torch

    torch.set_num_threads(1)
    seed, folder = job
    hidden = SimulationConfig(blind_root=1.0, missing_service=0.3)
    measured = SimulationConfig(snapshots=0.0, alerts=0.0, call_telemetry=1.0)
    tests = {
        "simulated": _rooted(simulate(TEST_WORLDS, TEST_SEED)),
        "simulated, culprit unmeasured": _rooted(simulate(TEST_WORLDS, TEST_SEED, hidden)),
        "simulated, network faults, calls measured": _rooted(
            incident
            for incident in simulate(4 * TEST_WORLDS, TEST_SEED, measured)
            if incident.fault in NETWORK_FAULTS
        ),
    }
    for file in sorted(Path(folder).glob("*.jsonl.gz")) if folder else ():
        tests[file.name.removesuffix(".jsonl.gz")] = _rooted(read_incidents(file))
    rows = []
    plain = list(examples_of(simulate(WORLDS, seed)))
    for arm in ARMS:
        config = replace(SimulationConfig(), **arm.simulator)
        examples = list(examples_of(simulate(WORLDS, seed, config))) if arm.simulator else plain
        for source, found in learn(examples, arm, seed, tests).items():
            rows.append({"arm": arm.name, "seed": seed, "source": source, "n": len(tests[source]), **found})
        print(f"seed {seed}: {arm.name}", file=sys.stderr, flush=True)
    return rows


def _rooted(incidents: Any) -> list[Example]:
    return [example for example in examples_of(incidents) if example.is_root.any()]


def main(folder: str | None) -> None:
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rows = [row for part in pool.map(of_seed, [(s, folder) for s in SEEDS], chunksize=1) for row in part]
    results = []
    for arm, source in dict.fromkeys((row["arm"], row["source"]) for row in rows):
        own = [row for row in rows if (row["arm"], row["source"]) == (arm, source)]
        measured = {f"ac@{k}": round(float(np.mean([row[f"ac@{k}"] for row in own])), 4) for k in (1, 3)}
        by_seed = {str(row["seed"]): round(row["ac@1"], 4) for row in own}
        results.append(
            {"source": source, "ranker": arm, "n": own[0]["n"], **measured, "ac@1_by_seed": by_seed}
        )
    config = {
        "worlds": WORLDS, "epochs": EPOCHS, "seeds": SEEDS, "machine": machine(),
        "command": "tests/studies/pays.py [FOLDER]",
        "seconds": round(time.perf_counter() - started),
    }  # fmt: skip
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
