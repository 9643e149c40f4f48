"""The basic installation is enough for the commands that play, rank, serve and report."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
IMPORTED_AS = {"scikit-learn": "sklearn", "torch-geometric": "torch_geometric"}
CASE = {"services": {"a": {"http_server_error_rate": 0.9}, "b": {}}, "dependency_graph": {"b": ["a"]}}


def lean(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a Python without the packages of the extra `train`."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [requirement.split(">=")[0] for requirement in project["optional-dependencies"]["train"]]
    gone = [IMPORTED_AS.get(name, name) for name in names]
    code = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {gone!r}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        f"from agent.cli import answer; sys.exit(answer({list(arguments)!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(REPO), "PATH": "", "OMP_NUM_THREADS": "1"},
    )


def test_playing_ranking_and_reporting_need_no_extra(tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text(json.dumps(CASE), encoding="utf-8")
    for command in (
        "run --env embedded --episodes 1 --difficulty easy --policy rules --out r --quiet",
        "report r --format md",
        "report r",
        "rank case.json --json ranked.json",
        "evaluate --simulate 4 --ranker gnn,mlp,pagerank,traversal",
        "collect --env embedded --episodes 1 --difficulty easy --out e",
    ):
        done = lean(tmp_path, *command.split())
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize(
    "command", ["train --simulate 8", "rank case.json --attribute", "rank case.json --ranker untrained"]
)
def test_what_needs_an_extra_says_the_line_that_installs_it(tmp_path: Path, command: str) -> None:
    (tmp_path / "case.json").write_text(json.dumps(CASE), encoding="utf-8")
    done = lean(tmp_path, *command.split())
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "pip install 'firewatch-rca[train]'" in done.stderr
