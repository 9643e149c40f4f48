"""Fits the temperatures of the shipped rankers on new worlds and real incidents.

Usage: calibrate.py FOLDER > checkpoints/results/confidence.json – see `make calibrate`. The result says what
each way of being sure comes to: the expected calibration error, and how often a sure first suspect is wrong.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.records.provenance import git_revision
from data.channels import default_channel_map
from data.simulator.batch.generate import simulate
from data.sources.files.reading import parts_of, read_incidents
from gnn.checkpoint import CARD
from gnn.evaluation.metrics import expected_calibration_error, reliability
from gnn.features.featurize import MODES
from gnn.graph_ranker import load_ranker
from gnn.network.batch import Example, examples_of, has_example
from gnn.network.softmax import Doubt, log_softmax, tempered
from gnn.training.calibration import calibrate

WORLDS, SEED = 1500, 1_000_003  # far from the seeds of training
SURE = 0.5


def source_of(example: Example) -> str:
    """Where it is from; all simulated worlds are one source."""
    return "simulated" if example.source.startswith("simulated") else example.source


def confidence(
    ranker: str, way: str, doubt: Doubt, cases: Sequence[tuple[Any, Example]]
) -> list[dict[str, Any]]:
    """How far the chance of the first suspect can be trusted, for each source of scored examples."""
    firsts = defaultdict(list)
    for score, example in cases:
        probability = np.exp(log_softmax(tempered(score, example.graph, doubt)))
        first = int(np.argmax(score))
        firsts[source_of(example)].append((float(probability[first]), bool(example.is_root[first] > 0)))
    rows = []
    for source, pairs in firsts.items():
        error = expected_calibration_error(reliability(*zip(*pairs, strict=True)))
        sure = [right for probability, right in pairs if probability >= SURE]
        rows.append(
            {
                "source": source, "ranker": ranker, "way": way, "n": len(pairs),
                "ece": round(error, 3), "sure": len(sure),
                "wrong_when_sure": round(1.0 - sum(sure) / len(sure), 3) if sure else None,
            }
        )  # fmt: skip
    return rows


def main(folder: Path) -> None:
    """Writes temperatures and doubts into the cards of the shipped rankers."""
    real = [incident for file in parts_of(folder) for incident in read_incidents(file)]
    incidents = [one for one in (*simulate(WORLDS, SEED), *real) if one.root_causes and has_example(one)]
    examples = list(examples_of(incidents, default_channel_map()))
    rows = []
    for name in ("ranker", "mlp"):
        ranker = load_ranker(Path("checkpoints") / name)
        cases = [(ranker.scores(one), example) for one, example in zip(incidents, examples, strict=True)]
        doubt = calibrate(*zip(*cases, strict=True))
        rows += confidence(name, "as shipped", doubt, cases)
        rows += confidence(name, "as trained", Doubt(dict.fromkeys(MODES, 1.0)), cases)
        for source in dict.fromkeys(map(source_of, examples)):
            others = [case for case in cases if source_of(case[1]) != source]
            own = [case for case in cases if source_of(case[1]) == source]
            rows += confidence(name, "fitted on the others", calibrate(*zip(*others, strict=True)), own)
        path = Path("checkpoints") / name / CARD
        card = {**json.loads(path.read_text()), **doubt._asdict()}
        path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
        print(name, doubt, file=sys.stderr)
    print(json.dumps({"results": rows, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
