"""The basic installation is enough for the commands that play, rank, serve and report."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
IMPORTED_AS = {"scikit-learn": "sklearn", "torch-geometric": "torch_geometric"}
CASE = {"services": {"a": {"http_server_error_rate": 0.9}, "b": {}}, "dependency_graph": {"b": ["a"]}}


def lean(folder: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Runs commands in a Python without the packages of the extra `train`; prints their statuses at last."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [requirement.split(">=")[0] for requirement in project["optional-dependencies"]["train"]]
    gone = [IMPORTED_AS.get(name, name) for name in names]
    code = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {gone!r}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        f"from agent.cli import answer; print([answer(line.split()) for line in {commands!r}])"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"PYTHONPATH": str(REPO), "PATH": "", "OMP_NUM_THREADS": "1"},
    )


def test_playing_ranking_and_reporting_need_no_extra(tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text(json.dumps(CASE), encoding="utf-8")
    done = lean(
        tmp_path,
        "run --env embedded --episodes 1 --difficulty easy --policy rules --out r --quiet",
        "report r --format md",
        "report r",
        "rank case.json --json ranked.json",
        "evaluate --simulate 4 --ranker gnn,mlp,pagerank,traversal",
        "collect --env embedded --episodes 1 --difficulty easy --out e",
    )
    assert done.stdout.splitlines()[-1] == str([0] * 6), done.stderr


def test_what_needs_an_extra_says_the_line_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text(json.dumps(CASE), encoding="utf-8")
    commands = ("train --simulate 8", "rank case.json --attribute", "rank case.json --ranker untrained")
    done = lean(tmp_path, *commands)
    assert done.stdout == "[2, 2, 2]\n"
    said = done.stderr.splitlines()
    assert len(said) == 3 and all("pip install 'firewatch-rca[train]'" in line for line in said)
