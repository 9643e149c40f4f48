"""Speed of the commands: help, the first step of a run, and our own time per step; prints JSON lines."""

import asyncio
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench_machine import machine

from agent.llm.budget import Ledger
from agent.llm.client import Reply
from agent.llm.reply import Choice
from agent.play.config import RunConfig
from agent.play.episode import EpisodeResult, StepRecord
from agent.play.run import play_tasks
from agent.policies.registry import make_policy
from agent.records.trajectory import RunFolder
from agent.situation.decision import Message
from data.observation import Task
from data.simulator.catalogue import catalogue
from data.simulator.world.environment import EmbeddedEnvironment
from gnn.registry import make_ranker

FIREWATCH = [sys.executable, "-m", "agent"]


class Clock:
    """Measures each step's time, less the time spent in the environment; must be the last listener."""

    def __init__(self) -> None:
        self.own_ms: list[float] = []
        self._last = 0.0

    def task_started(self, task: Task) -> None:
        self._last = time.perf_counter()

    def step_played(self, step: StepRecord) -> None:
        now = time.perf_counter()
        self.own_ms.append(1000 * (now - self._last - step.environment_s))
        self._last = now

    def task_ended(self, result: EpisodeResult) -> None:
        pass


class Instant:
    """A model that answers at once: it keeps looking at the worst service."""

    def __init__(self) -> None:
        self._kinds = itertools.cycle(("fetch_logs", "get_metrics_detail"))

    def new_ledger(self) -> Ledger:
        return Ledger()

    def tokens_in(self, messages: Sequence[Message]) -> int:
        return 0

    async def ask(
        self, messages: Sequence[Message], seed: int, ledger: Ledger, choice: Choice | None = None
    ) -> Reply:
        worst = re.search(r"^\| (\S+): errors", messages[1]["content"], re.MULTILINE)
        assert worst is not None
        return Reply(json.dumps({"action_type": next(self._kinds), "target_service": worst[1]}), "instant")


def own_time_per_step(ranker: str, policy: str) -> dict[str, object]:
    """Time for ranking, the policy and writing the run folder, over the whole catalogue."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder.open(Path(scratch) / "run", RunConfig(tasks=catalogue()), {})
        asyncio.run(
            play_tasks(
                folder.missing,
                EmbeddedEnvironment,
                make_ranker(ranker),
                lambda task: make_policy(policy, model=Instant()),
                (folder, clock),
                1,
                60.0,
            )
        )
    times = sorted(clock.own_ms)
    return {
        "what": f"own time per step, ranker {ranker}, policy {policy}",
        "steps": len(times),
        "p50_ms": round(statistics.median(times), 2),
        "p99_ms": round(times[int(len(times) * 0.99)], 2),
    }


def help_s(runs: int = 5) -> dict[str, object]:
    """Median time of `firewatch --help`."""
    took = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([*FIREWATCH, "--help"], capture_output=True, check=True)
        took.append(time.perf_counter() - started)
    return {"what": "firewatch --help", "median_s": round(statistics.median(took), 3)}


def first_step_s(ranker: str) -> dict[str, object]:
    """From the command to its first [STEP] line."""
    started = time.perf_counter()
    command = ["run", "--test-run", "--env", "embedded", "--policy", "rules", "--ranker", ranker, "--quiet"]
    with tempfile.TemporaryDirectory() as scratch:
        out = ["--out", f"{scratch}/run"]
        process = subprocess.Popen([*FIREWATCH, *command, *out], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("[STEP]"))
        took = time.perf_counter() - started
        process.communicate()
    return {"what": f"first step of run --test-run, ranker {ranker}", "s": round(took, 2)}


def main() -> None:
    print(json.dumps({"machine": machine(), "command": "python tests/bench_agent.py"}))
    print(json.dumps(help_s()))
    for ranker in sys.argv[1:] or ["gnn", "heuristic"]:
        print(json.dumps(first_step_s(ranker)))
        for policy in ("rules", "llm"):
            print(json.dumps(own_time_per_step(ranker, policy)))


if __name__ == "__main__":
    main()
