"""Two Ray nodes on this machine: a node, workers or the driver are killed, and what is stored is the same.

KILLS=10 make cluster-test: as many runs whose worker and driver are killed at random moments.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

ray_utils = pytest.importorskip("ray.cluster_utils")
# Ray leaves the files and processes of its nodes to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TREE = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TREE), "OMP_NUM_THREADS": "1"}
EPISODES = 200
WANTED = (
    f"--env embedded --policy rules --ranker gnn --checkpoint weights --episodes {EPISODES} --seed 5 --quiet"
).split()


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes of one processor each, beside a head that does no work."""
    os.environ.update(ENVIRONMENT | {"RAY_USAGE_STATS_ENABLED": "0"})
    made = ray_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one process stores."""
    out = tmp_path_factory.mktemp("alone") / "c"
    assert collect(out).wait() == 0
    return stored(out)


def collect(out: Path, *options: str) -> subprocess.Popen[str]:
    """Begins a collection, or goes on with it."""
    weights = out.with_name("weights")  # named by a path that is relative for workers elsewhere, too
    if not weights.exists():
        shutil.copytree(TREE / "checkpoints" / "ranker", weights)
    begun = (out / "collect.json").exists()
    wanted = ["--resume", str(out)] if begun else [*WANTED, "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "collect", *wanted, *options],
        env=ENVIRONMENT,
        cwd=out.parent,
        stderr=subprocess.PIPE,
        text=True,
    )


def stored(out: Path) -> bytes:
    file = out / "episodes.jsonl"
    return file.read_bytes() if file.exists() else b""


def workers() -> Sequence[psutil.Process]:
    """The actors of this cluster and the worker processes of drivers."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            parent = process.parent()
            forked = all("forkserver" in "".join(p.cmdline()) for p in (process, parent) if p)
            if forked or process.name().startswith("ray::_Actor"):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_lost_node_costs_no_task_and_doubles_none(cluster: Any, undisturbed: bytes, tmp_path: Path) -> None:
    out = tmp_path / "c"
    process = collect(out, "--ray", cluster.address, "--jobs", "2")
    while stored(out).count(b"\n") < 16:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    cluster.remove_node(cluster.nodes[0], allow_graceful=False)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert stored(out) == undisturbed


@pytest.mark.parametrize("kind", ["processes", "Ray actors"])
def test_killed_workers_and_drivers_change_nothing(
    kind: str, cluster: Any, undisturbed: bytes, tmp_path: Path
) -> None:
    spread = ["--jobs", "2", *(["--ray", cluster.address] if kind == "Ray actors" else [])]
    chance = random.Random(1)
    assert collect(tmp_path / "first", *spread).wait() == 0  # Ray starts slowly
    began = time.monotonic()
    assert collect(tmp_path / "c", *spread).wait() == 0
    usual_s = time.monotonic() - began
    for kill in range(int(os.environ.get("KILLS", "2"))):
        out = tmp_path / f"c{kill}"
        worker_at_s, driver_at_s = sorted(chance.uniform(0.3, 0.95) * usual_s for _ in range(2))
        began = time.monotonic()
        process = collect(out, *spread)
        time.sleep(worker_at_s)
        alive = workers()
        for worker in alive[:1]:
            worker.kill()
        at_worker = stored(out).count(b"\n")
        time.sleep(max(0.0, began + driver_at_s - time.monotonic()))
        process.kill()
        process.communicate()
        at_driver = stored(out).count(b"\n")
        again = collect(out, *spread)
        _, said = again.communicate(timeout=300)
        assert again.returncode == 0, said
        facts = {
            "kind": kind,
            "run": kill,
            "workers_alive": len(alive),
            "stored_when_worker_was_killed": at_worker,
            "stored_when_driver_was_killed": at_driver,
            "same_bytes": stored(out) == undisturbed,
        }
        print(json.dumps(facts))
        assert facts["same_bytes"]
