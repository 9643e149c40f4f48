"""Imports point one way, importing does nothing, and only the command line prints or reads variables."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGES = ("data", "gnn", "agent")
# What each package must not import.
FORBIDDEN = {"data": {"gnn", "agent", "torch", "torch_geometric"}, "gnn": {"agent"}, "agent": set[str]()}
MODULES = sorted(path.relative_to(REPO) for package in PACKAGES for path in (REPO / package).rglob("*.py"))
HEAVY = ("torch", "torch_geometric", "openai", "onnxruntime", "pydantic", "numpy", "scipy", "networkx")


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def tree_of(module: Path) -> ast.Module:
    return ast.parse((REPO / module).read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_one_way(module: Path) -> None:
    found = {name.split(".")[0] for name in imports(tree_of(module))}
    assert not found & FORBIDDEN[module.parts[0]]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(tree_of(module)), f"{module} needs a sentence at its top"


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[:2] != ("agent", "cli")], ids=str)
def test_only_the_command_line_prints_or_reads_the_environment(module: Path) -> None:
    tree = tree_of(module)
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    runs_as_a_script = any(isinstance(n, ast.If) and "__main__" in ast.unparse(n.test) for n in tree.body)
    assert "print" not in called or runs_as_a_script
    assert not read & {"environ", "getenv"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_is_caught_blindly(module: Path) -> None:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None and ast.unparse(node.type) not in ("Exception", "BaseException")


def test_only_one_file_imports_openai() -> None:
    having = {str(m) for m in MODULES if "openai" in {n.split(".")[0] for n in imports(tree_of(m))}}
    assert having == {"agent/llm/client.py"}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has after `code`, which must print nothing itself."""
    show = "import sys; sys.stderr.write(chr(10).join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True, cwd=REPO
    )
    assert done.stdout == ""
    return set(done.stderr.splitlines())


def test_listing_the_commands_loads_nothing_heavy() -> None:
    loaded = loaded_by("import agent.cli.app, typer.main; typer.main.get_command(agent.cli.app.app)")
    assert not loaded & set(HEAVY)


def test_what_plays_and_ranks_never_loads_torch() -> None:
    loaded = loaded_by(
        "import agent.cli.run, agent.policies.llm_policy\n"
        "import data.simulator.world.environment, gnn.graph_ranker"
    )
    assert not loaded & {"torch", "torch_geometric", "openai"}


def test_ranking_one_observation_loads_neither_torch_nor_scipy() -> None:
    loaded = loaded_by(
        "from data.incident import Incident; from data.observation import Observation, Service\n"
        "from gnn.registry import make_ranker\n"
        "seen = Observation(services={'a': Service(), 'b': Service()}, call_graph={'a': ('b',)})\n"
        "make_ranker('gnn').rank(Incident.from_observations([seen]))"
    )
    assert not loaded & {"torch", "torch_geometric", "scipy", "networkx", "onnx"}


def test_importing_every_module_prints_nothing() -> None:
    names = [".".join(m.with_suffix("").parts).removesuffix(".__init__") for m in MODULES]
    wanted = [name for name in names if not name.endswith("__main__")]
    loaded = loaded_by("import " + ", ".join(wanted))
    assert set(wanted) <= loaded
