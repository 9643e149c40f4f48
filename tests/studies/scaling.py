"""How collecting episodes speeds up with workers: processes, and actors of a Ray cluster on this machine.

Usage: scaling.py > checkpoints/results/scaling.json – see `make scaling`. Ray's 64 workers stand on a few
processors, because they only wait: a stand-in for a remote model answers each question after some seconds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench_machine import machine
from llm_server import Answer, LLMServer
from stand_in import follows_the_rules

from agent.play.collecting import Collection
from agent.play.config import CollectOptions
from agent.play.workers import Job, run_jobs, worker_pool
from agent.records.provenance import git_revision
from agent.settings import Settings
from data.episodes import Episode, EpisodeStore
from data.observation import Task
from data.simulator.catalogue import random_tasks

REPLY_S = 3.0  # what the stand-in takes for an answer
COMPUTING = {"episodes_a_worker": 120, "tasks_a_job": 8, "workers": (1, 2)}
# Episodes of at most six steps, so that no worker is left alone with a long one.
WAITING = {"episodes_a_worker": 2, "tasks_a_job": 1, "workers": (1, 16, 64)}
LONGEST = 6
FIRST = Task(difficulty="easy", seed=0, max_ticks=1)


@contextmanager
def remote_model() -> Iterator[str]:
    """The address of a stand-in that runs in a process of its own."""
    with subprocess.Popen(
        [sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin and server.stdout
        yield server.stdout.readline().strip()
        server.stdin.close()


def serve() -> None:
    """Answers as the rules do, but takes its time."""
    with LLMServer(lambda request: Answer(follows_the_rules(request), delay_s=REPLY_S)) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def begin(collection: Collection, task: Task, folder: Path, workers: int) -> None:
    """Plays one short episode, which imports everything, and waits until every worker has done so."""
    collection.play([task])
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < workers:
        time.sleep(0.2)


def measure(kind: str, workers: int, work: dict[str, Any], url: str | None) -> dict[str, Any]:
    """Collects a share of episodes for each worker, once all of them have begun."""
    tasks = random_tasks(work["episodes_a_worker"] * workers, "all", 1)
    if url:
        tasks = tuple(task.model_copy(update={"max_ticks": LONGEST}) for task in tasks)
    settings = Settings(api_base_url=url, model_names=("stand-in",)) if url else Settings()
    options = CollectOptions(policy="llm" if url else "rules", ranker="gnn", env="embedded")
    shared = options.completed(settings).model_copy(update={"tasks": ()})
    collection = Collection(shared, settings, "embedded", {}, 1)
    size, decisions, apart = work["tasks_a_job"], 0, kind == "Ray actors" or workers > 1
    with tempfile.TemporaryDirectory() as folder:
        store = EpisodeStore(Path(folder) / "episodes.jsonl")

        def keep(played: tuple[list[Episode], dict[str, str]]) -> None:
            nonlocal decisions
            episodes, failed = played
            assert not failed, failed
            for episode in episodes:
                store.append(episode)
                decisions += len(episode.actions)

        jobs = [Job(collection.play, (tasks[k : k + size],), keep) for k in range(0, len(tasks), size)]
        first = Job(begin, (collection, FIRST, Path(folder) / "begun", workers), lambda _: None)
        began = time.perf_counter()
        with worker_pool(workers, "local" if kind == "Ray actors" else None) as pool:
            run_jobs(pool, [first] * workers)
            started, cpu_s = time.perf_counter(), time.process_time()
            run_jobs(pool, jobs)
            seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    print(f"{kind} {workers} {url}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return {
        "work": "waiting for a model" if url else "computing",
        "kind": kind,
        "workers": workers,
        "start_s": round(started - began, 1),
        "episodes": len(tasks),
        "decisions": decisions,
        "seconds": round(seconds, 2),
        "decisions_per_s": round(decisions / seconds, 3),
        # A single process does the work itself.
        "driver_cpu_ms_per_episode": round(1000 * cpu_s / len(tasks), 2) if apart else None,
    }


def main() -> None:
    load = os.getloadavg()[0]
    results: list[dict[str, Any]] = []
    with remote_model() as url:
        for address, work in ((None, COMPUTING), (url, WAITING)):
            for kind in ("processes", "Ray actors"):
                rows = [measure(kind, workers, work, address) for workers in work["workers"]]
                for row in rows:
                    ideal = row["workers"] * rows[0]["decisions_per_s"]
                    row["efficiency"] = round(row["decisions_per_s"] / ideal, 3)
                results += rows
    config = {
        "command": "make scaling",
        "machine": machine(),
        "load_at_start": round(load, 2),
        "reply_s": REPLY_S,
        "most_steps_when_waiting": LONGEST,
    }
    print(json.dumps({"results": results, "config": config, "git": git_revision()}, indent=1))


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
