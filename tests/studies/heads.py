"""Measures the other two heads: what kind of fault it is, and whether anything is wrong.

Usage: heads.py [FOLDER] > checkpoints/results/heads.json – FOLDER holds incident files.
Uses new simulated worlds, and real incidents with their own past, cut in two, as the healthy window.
"""

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_machine import machine
from sklearn.metrics import roc_auc_score

from agent.records.provenance import git_revision
from data.incident import Incident, Series
from data.simulator.batch.generate import simulate
from data.sources.files.reading import read_incidents
from gnn.features.featurize import MODES, featurize
from gnn.ranker import Ranking
from gnn.registry import make_ranker

WORLDS, SEED = 3_000, 1_000_011


def before(incident: Incident) -> Incident | None:
    """The same system in health, with the end of its baseline as the incident; None without a baseline."""
    telemetry = {
        name: {
            metric: Series(series.baseline[-points:], series.baseline[:-points])
            for metric, series in metrics.items()
            if len(series.baseline) > (points := len(series.incident)) > 0
        }
        for name, metrics in incident.telemetry.items()
    }
    if not any(telemetry.values()):
        return None
    return replace(
        incident, telemetry=telemetry, call_telemetry={}, alerts=(), page=None, root_causes=(), fault=""
    )


def incident_head(told: Iterable[tuple[bool, float | None]]) -> dict[str, Any]:
    """How well the chance of an incident separates windows with and without a fault."""
    known = [(broken, chance) for broken, chance in told if chance is not None and not math.isnan(chance)]
    broken, chance = (np.array(column) for column in zip(*known, strict=True))
    return {
        "incidents": int(broken.sum()),
        "healthy": int((~broken).sum()),
        "auroc": round(float(roc_auc_score(broken, chance)), 3),
        "incidents_told": round(float((chance[broken] > 0.5).mean()), 3),
        "healthy_told": round(float((chance[~broken] < 0.5).mean()), 3),
    }


def family_head(told: Iterable[tuple[str, Ranking]]) -> dict[str, Any]:
    """How often the kind of fault is first, or among three, if the root cause was found."""
    places = []
    for fault, ranking in told:
        order = sorted(ranking.families, key=lambda family: -ranking.families[family])
        places.append(order.index(fault) if fault in order else len(order))
    right = np.array(places)
    return {
        "n": len(right),
        "first": round(float((right < 1).mean()), 3),
        "among_3": round(float((right < 3).mean()), 3),
    }


def main(folder: str | None) -> None:
    ranker = make_ranker("gnn")
    windows: defaultdict[str, list[tuple[bool, float | None]]] = defaultdict(list)
    faults: defaultdict[str, list[tuple[str, Ranking]]] = defaultdict(list)
    for world in simulate(WORLDS, SEED):
        if world.services:
            ranking, kind = ranker.rank(world), f"simulated, {MODES[featurize(world).mode]}"
            windows[kind].append((bool(world.root_causes), ranking.incident_probability))
            if (
                len(world.root_causes) == 1
                and "+" not in world.fault
                and ranking.services[0] in world.root_causes
            ):
                faults[kind].append((world.fault, ranking))
    for file in sorted(Path(folder).glob("*.jsonl.gz")) if folder else ():
        for incident in read_incidents(file):
            if (healthy := before(incident)) is not None:
                for broken, window in ((True, incident), (False, healthy)):
                    chance = ranker.rank(window).incident_probability
                    windows[file.name.removesuffix(".jsonl.gz")].append((broken, chance))
    result = {
        "is_an_incident": {source: incident_head(told) for source, told in windows.items()},
        "kind_of_fault": {source: family_head(told) for source, told in faults.items()},
        "config": {"worlds": WORLDS, "command": "tests/studies/heads.py [FOLDER]", "machine": machine()},
        "git": git_revision(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
