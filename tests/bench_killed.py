"""Trainings that are killed at random moments: each goes on to the files of one that was not; prints JSON.

python tests/bench_killed.py --times 10 > checkpoints/results/killed.json
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench_machine import machine
from tiny_model import make_tiny_model

from agent.cli import answer
from agent.finetune.options import REQUEST
from agent.records.provenance import git_revision

COMMANDS = {
    "sft": "--epochs 1 --checks 4",
    "grpo": "--steps 8 --group 2 --reply-tokens 16 --held-out 4 --jobs 1",
}
SHARED = "--episodes 4 --seed 3 --ranker heuristic --prompt-budget 1100 --batch 2 --rank 2 --quiet"
FORKS = multiprocessing.get_context("fork")  # the trainer's own code, without twenty times its start


def started(command: str, folder: Path, tiny: Path) -> Any:
    """A training in `folder`, from its start or from where it was killed."""
    begun = (folder / REQUEST).exists()
    options = (
        f"--resume {folder} --quiet"
        if begun
        else f"--model {tiny} {COMMANDS[command]} {SHARED} --out {folder}"
    )
    process = FORKS.Process(target=answer, args=([command, *options.split()],))
    process.start()
    return process


def files_of(folder: Path) -> Mapping[str, Any]:
    """What a training leaves, but for how long it took."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    told = {name: value for name, value in card.items() if name not in ("seconds", "options")}
    return {"card": told, "adapter": (folder / "adapter_model.safetensors").read_bytes()}


def killed_and_resumed(
    command: str, times: int, chance: random.Random, tiny: Path, work: Path
) -> dict[str, Any]:
    """How often the files were the same, and how far the training was when it was killed."""
    began = time.monotonic()
    started(command, work / command, tiny).join()
    takes_s = time.monotonic() - began
    whole, same, moments_s = files_of(work / command), 0, []
    for number in range(times):
        folder = work / f"{command}-{number}"
        moment_s = chance.uniform(0.0, takes_s)
        process = started(command, folder, tiny)
        process.join(moment_s)
        process.kill()
        process.join()
        started(command, folder, tiny).join()
        same += files_of(folder) == whole
        moments_s.append(round(moment_s, 2))
    return {"killed": times, "same": same, "whole_s": round(takes_s, 2), "moments_s": sorted(moments_s)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tiny, chance = make_tiny_model(work / "tiny"), random.Random(0)
        results = {command: killed_and_resumed(command, times, chance, tiny, work) for command in COMMANDS}
    config = {"command": f"python tests/bench_killed.py --times {times}", "machine": machine()}
    print(json.dumps({"config": config, "git": git_revision(), "results": results}))


if __name__ == "__main__":
    main()
