"""Fits the temperatures of the shipped rankers on new worlds and real incidents: `calibrate.py FOLDER`."""

import json
import sys
from pathlib import Path

from data.channels import default_channel_map
from data.simulator.batch.generate import simulate
from data.sources.files.reading import parts_of, read_incidents
from gnn.checkpoint import CARD
from gnn.graph_ranker import load_ranker
from gnn.network.batch import examples_of, has_example
from gnn.training.calibration import calibrate

WORLDS, SEED = 1500, 1_000_003  # far from the seeds of training


def main(folder: Path) -> None:
    """Writes temperatures and doubts into the cards of the shipped rankers."""
    real = [incident for file in parts_of(folder) for incident in read_incidents(file)]
    incidents = [one for one in (*simulate(WORLDS, SEED), *real) if one.root_causes and has_example(one)]
    examples = list(examples_of(incidents, default_channel_map()))
    for name in ("ranker", "mlp"):
        ranker = load_ranker(Path("checkpoints") / name)
        scores = [ranker.scores(incident) for incident in incidents]
        chances = [ranker.rank(incident).incident_probability for incident in incidents]
        calm = [0.0 if chance is None else 1.0 - chance for chance in chances]
        doubt = calibrate(scores, examples, calm)
        path = Path("checkpoints") / name / CARD
        card = {**json.loads(path.read_text()), **doubt._asdict()}
        path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
        print(name, doubt)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
