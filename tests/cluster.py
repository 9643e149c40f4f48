"""Two Ray nodes on this machine: one is killed, or the driver is, and what is stored is the same."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray_utils = pytest.importorskip("ray.cluster_utils")
# Ray leaves the files and processes of its nodes to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
TREE = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TREE), "OMP_NUM_THREADS": "1"}
WANTED = ("--env", "embedded", "--policy", "rules", "--episodes", "64", "--seed", "5", "--quiet")


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
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What one process stores."""
    out = tmp_path_factory.mktemp("alone") / "c"
    assert collect("--out", str(out)).wait() == 0
    return stored(out)


def collect(*options: str) -> subprocess.Popen[str]:
    wanted = () if "--resume" in options else WANTED
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "collect", *wanted, *options],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )


def stored(out: Path) -> list[str]:
    file = out / "episodes.jsonl"
    return sorted(file.read_text().splitlines()) if file.exists() else []


def wait_for_lines(out: Path, process: subprocess.Popen[str], lines: int) -> None:
    while len(stored(out)) < lines:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_a_lost_node_costs_no_task_and_doubles_none(
    cluster: Any, undisturbed: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "c"
    process = collect("--ray", cluster.address, "--jobs", "2", "--out", str(out))
    wait_for_lines(out, process, 16)
    cluster.remove_node(cluster.nodes[0], allow_graceful=False)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert stored(out) == undisturbed


def test_a_killed_driver_goes_on_with_the_rest(cluster: Any, undisturbed: list[str], tmp_path: Path) -> None:
    chance = random.Random(1)
    for kill in range(int(os.environ.get("KILLS", "2"))):
        out = tmp_path / f"c{kill}"
        begun = collect("--ray", cluster.address, "--jobs", "2", "--out", str(out))
        wait_for_lines(out, begun, chance.choice((1, 8, 24, 40)))
        time.sleep(chance.random())
        begun.kill()
        begun.communicate()
        again = collect("--resume", str(out), "--ray", cluster.address, "--jobs", "2")
        _, said = again.communicate(timeout=300)
        assert again.returncode == 0, said
        assert stored(out) == undisturbed
