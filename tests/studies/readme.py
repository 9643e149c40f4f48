"""Remakes what the README shows: its picture of `firewatch run --watch`, and what `firewatch rank` prints.

Usage: readme.py – see `make readme`.
"""

import asyncio
import io
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from rich.console import Console

from agent.cli import answer
from agent.cli.watch import step_view
from agent.play.episode import EpisodeResult, StepRecord
from agent.play.run import play_tasks
from agent.policies.registry import make_policy
from data.observation import Task
from data.simulator.catalogue import task
from data.simulator.world.environment import EmbeddedEnvironment
from gnn.registry import make_ranker

ROOT = Path(__file__).resolve().parents[2]
README, PICTURE = ROOT / "README.md", ROOT / "checkpoints" / "results" / "watch.svg"
TASK = "task_hard_config_drift_noise"
WIDTH = 112


class Recorder:
    """Keeps every step."""

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []

    def task_started(self, task: Task) -> None:
        """Nothing to keep."""

    def step_played(self, step: StepRecord) -> None:
        """Keeps it."""
        self.steps.append(step)

    def task_ended(self, result: EpisodeResult) -> None:
        """Nothing to keep."""


def picture() -> str:
    recorder = Recorder()
    asyncio.run(
        play_tasks(
            [task(TASK)],
            EmbeddedEnvironment,
            make_ranker("gnn"),
            lambda _: make_policy("rules"),
            [recorder],
            concurrency=1,
            deadline_s=600,
        )
    )
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(f"$ firewatch run --watch --task {TASK}")
    console.print(step_view(recorder.steps[0]))
    return console.export_svg(title="firewatch", unique_id="firewatch")


def with_output(readme: str) -> str:
    """The page with what is printed now: the summary of `make run`, and what `rank` says of the incident."""
    blocks = readme.split("```\n")  # those at odd places are code
    summary = next(n for n, block in enumerate(blocks) if n % 2 and block.startswith("task "))
    incident = next(n for n, block in enumerate(blocks) if n % 2 and block.startswith('{"incident_id"'))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "incident.json"
        file.write_text(blocks[incident], encoding="utf-8")
        with redirect_stdout(io.StringIO()) as ranked:
            assert answer(["rank", str(file), "--top", "1"]) == 0
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
            out = str(Path(folder) / "run")
            assert answer(["run", "--test-run", "--env", "embedded", "--policy", "rules", "--out", out]) == 0
    lines = said.getvalue().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("task "))
    last = next(n for n, line in enumerate(lines) if " tasks solved" in line)
    blocks[summary] = "".join(f"{line.rstrip()}\n" for line in lines[first : last + 1])
    blocks[incident + 2] = ranked.getvalue()
    return "```\n".join(blocks)


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    README.write_text(with_output(README.read_text(encoding="utf-8")), encoding="utf-8")
