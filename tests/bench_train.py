"""How fast training is, and how long `firewatch train --incidents FILE` takes with its defaults; prints JSON.

Usage: python tests/bench_train.py [FOLDER] – see `make bench`. Each incident file of FOLDER is trained on,
which takes minutes; without FOLDER only a small training on simulated worlds is timed.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_machine import machine

from agent.cli import answer
from agent.records.provenance import git_revision
from data.sources.files.reading import read_incidents

WORLDS, EPOCHS = 200, 3


def trained(*options: str) -> dict[str, Any]:
    """Training time from the card, and from start to exit of the command."""
    with tempfile.TemporaryDirectory() as folder:
        out, card = Path(folder) / "ranker", Path(folder) / "card.json"
        started = time.perf_counter()
        assert answer(["train", *options, "--out", str(out), "--json", str(card), "--quiet"]) == 0
        seconds = time.perf_counter() - started
        effort = json.loads(card.read_text(encoding="utf-8"))["effort"]
    return {
        "seconds": round(seconds, 1),
        "seconds_before_writing": effort["seconds"],
        "incidents_per_s": effort["incidents_per_s"],
        "device": effort["device"],
    }


def main(folder: Path | None) -> None:
    command = f"python tests/bench_train.py{' FOLDER' if folder else ''}"
    small = trained("--simulate", str(WORLDS), "--epochs", str(EPOCHS))
    results = [{"source": "simulated", "incidents": WORLDS, "epochs": EPOCHS, **small}]
    for file in sorted(folder.glob("*.jsonl.gz")) if folder else ():
        incidents = read_incidents(file)
        labels = sum(bool(incident.root_causes) for incident in incidents)
        took = trained("--incidents", str(file))
        results.append({"source": file.name.removesuffix(".jsonl.gz"), "labels": labels, **took})
    config = {"command": command, "machine": machine()}
    print(
        json.dumps(
            {"results": results, "config": config, "git": git_revision()}, indent=1 if folder else None
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
