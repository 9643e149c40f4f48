"""Checks attributions by removing the named evidence, compared with random evidence.

deletion.py [folder of real incidents] > checkpoints/results/deletion.json
"""

import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench_machine import machine
from studies.deletion_effect import DRAWS, NAMED, Deletion, DeletionEffect, check_deletion

from agent.records.provenance import git_revision
from data.files import jsonl
from data.incident import Incident
from data.simulator.batch.generate import SimulationConfig, simulate
from data.sources.files.reading import read_incidents
from gnn.evaluation.metrics import interval
from gnn.explain.attribution import AttributionConfig
from gnn.graph_ranker import GraphRanker, load_ranker
from gnn.registry import shipped

SEED = 4_000_000
SIMULATED, MOST = 40, 24  # simulated cases per kind; most cases per file
KINDS = {
    "series": SimulationConfig(snapshots=0.0, alerts=0.0, healthy=0.0),
    "snapshots": SimulationConfig(snapshots=1.0, alerts=0.0, healthy=0.0),
    "alerts": SimulationConfig(snapshots=0.0, alerts=1.0, healthy=0.0),
}


def sample(incidents: Sequence[Incident]) -> list[Incident]:
    """At most `MOST` of them, always the same."""
    return random.Random(SEED).sample(list(incidents), min(MOST, len(incidents)))


def sources(folder: Path | None) -> Iterable[tuple[str, list[Incident]]]:
    """Simulated incidents by mode of evidence, then the files of `folder`."""
    for kind, config in KINDS.items():
        yield f"simulated {kind}", list(simulate(SIMULATED, SEED, config))
    for file in jsonl.files(folder) if folder else ():
        yield file.name.partition(".jsonl")[0], sample(read_incidents(file))


def paired(cuts: Sequence[DeletionEffect]) -> dict[str, Any]:
    """Named and random evidence: means, and their paired difference with its interval."""
    found: dict[str, Any] = {"n": len(cuts)}
    if not cuts:
        return found
    found["pieces"] = sum(cut.pieces for cut in cuts) / len(cuts)
    for name in ("margin", "score", "overturned"):
        pairs = [getattr(cut, name) for cut in cuts]
        differences = [named - at_random for named, at_random in pairs]
        found[name] = {
            "named": sum(named for named, _ in pairs) / len(pairs),
            "random": sum(at_random for _, at_random in pairs) / len(pairs),
            "difference": sum(differences) / len(pairs),
            "ci95": interval(differences, seed=SEED),
            "named_larger": sum(difference > 0 for difference in differences) / len(pairs),
        }
    return found


def result(name: str, ranker: GraphRanker, incidents: Sequence[Incident]) -> dict[str, Any]:
    """Both comparisons on one source."""
    started = time.perf_counter()
    done: list[Deletion] = [check_deletion(ranker, incident, SEED) for incident in incidents]
    return {
        "source": name,
        "incidents": len(incidents),
        "anywhere": paired([each.anywhere for each in done if each.anywhere]),
        "own": paired([each.own for each in done if each.own]),
        "seconds_per_incident": round((time.perf_counter() - started) / max(len(incidents), 1), 2),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    ranker = load_ranker(shipped("ranker"))
    results = [result(name, ranker, incidents) for name, incidents in sources(folder)]
    config = {
        "simulated_per_kind": SIMULATED,
        "most_per_file": MOST,
        "seed": SEED,
        "groups_named": NAMED,
        "random_draws": DRAWS,
        "attribution": AttributionConfig().model_dump(),
        "command": "tests/studies/deletion.py" + (" <incidents>" if folder else ""),
        "machine": machine(),
    }
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main()
