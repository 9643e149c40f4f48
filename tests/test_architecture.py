"""The source tree obeys its laws, each law finds a planted breach, and importing has no effects."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import architecture
import pytest
from architecture import LAWS, imports, modules, tree_of

from data.faults.families import fault_families
from data.leak_filter import clean_feedback

REPO = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torch_geometric", "openai", "onnxruntime", "pydantic", "numpy", "scipy", "networkx")
Law = Callable[[Path], list[str]]
SENTENCE = '"""Says what it is."""\n'
# For each law, code that breaks it in an otherwise valid tree: {file: code}.
PLANTED: dict[str, dict[str, str]] = {
    "wrong_arrows": {"data/a.py": "def f():\n    from gnn import b\n"},
    "circles": {"data/a.py": "import data.b\n", "data/b.py": "def f():\n    from data.a import x\n"},
    "folder_circles": {
        "gnn/one/a.py": "import gnn.two.b\n",
        "gnn/two/b.py": "",
        "gnn/two/c.py": "import gnn.one.d\n",
        "gnn/one/d.py": "",
    },
    "shared_names": {"data/a.py": "class Case:\n    pass\n", "agent/b.py": "def Case():\n    pass\n"},
    "private_imports": {"data/a.py": "from data.b import _hidden\n", "data/b.py": "_hidden = 1\n"},
    "unexplained": {"data/more/__init__.py": '"""Says.\n\nMore."""\n'},
    "too_large": {f"gnn/m{number}.py": "" for number in range(architecture.MOST_MODULES + 1)},
    "blind_catches": {"data/a.py": "try:\n    pass\nexcept Exception:\n    pass\n"},
    "talk": {"agent/a.py": "import os\nx = os.environ\n"},
}


@pytest.mark.parametrize("law", LAWS)
def test_the_tree_keeps_the_law(law: Law) -> None:
    assert law(REPO) == []


@pytest.mark.parametrize("law", LAWS)
def test_a_planted_breach_is_found_by_its_law_alone(law: Law, tmp_path: Path) -> None:
    files = PLANTED[law.__name__]
    folders = {parent.as_posix() for file in files for parent in Path(file).parents} | set(
        architecture.PACKAGES
    )
    lawful = {f"{folder}/__init__.py": "" for folder in folders - {"."}}
    for file, code in {**lawful, **files}.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code if code.startswith('"""') else SENTENCE + code)
    assert [other.__name__ for other in LAWS if other(tmp_path)] == [law.__name__]


def test_feedback_that_names_any_fault_family_is_kept_from_agents() -> None:
    named = (f"Saw signs of {name.replace('_', ' ')} there." for name in fault_families())
    assert [feedback for feedback in named if clean_feedback("thread_dump", feedback)] == []


def test_only_one_file_imports_openai() -> None:
    having = {
        name
        for name, path in modules(REPO).items()
        if "openai" in {imported.split(".")[0] for imported in imports(tree_of(path))}
    }
    assert having == {"agent.llm.client"}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `code`, which must not print."""
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
    wanted = [name for name in modules(REPO) if not name.endswith("__main__")]
    loaded = loaded_by("import " + ", ".join(wanted))
    assert set(wanted) <= loaded
