"""The laws of the source tree: each is a function that lists the breaches in a folder."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx

PACKAGES = ("data", "gnn", "agent")
# Forbidden imports of each package.
FORBIDDEN = {"data": {"gnn", "agent", "torch", "torch_geometric"}, "gnn": {"agent"}, "agent": set[str]()}
MOST_LINES = 300
MOST_MODULES = 17
# These have one file per command, or per report and section.
LARGE_FOLDERS = {"agent/cli", "agent/report"}


def modules(root: Path) -> dict[str, Path]:
    """All modules by dotted name."""
    paths = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


@cache
def tree_of(path: Path) -> ast.Module:
    """The parsed module, which nobody may change."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST, for_types: bool = True) -> Iterator[str]:
    """All imported modules and names, also inside functions and, unless told otherwise, for type checkers."""
    todo = [tree]
    while todo:
        node = todo.pop()
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        todo += node.orelse if is_for_types and not for_types else ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def arrows(root: Path) -> "nx.DiGraph[str]":
    """Which module imports which, without imports for type checkers only."""
    known = modules(root)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(known)
    for name, path in known.items():
        for imported in imports(tree_of(path), for_types=False):
            target = imported if imported in known else imported.rpartition(".")[0]
            if target in known and target != name:
                graph.add_edge(name, target)
    return graph


def wrong_arrows(root: Path) -> list[str]:
    """Imports that violate `data ← gnn ← agent`."""
    return [
        f"{name} imports {imported}"
        for name, path in modules(root).items()
        for imported in imports(tree_of(path))
        if imported.split(".")[0] in FORBIDDEN[name.split(".")[0]]
    ]


def circles(root: Path) -> list[str]:
    """Modules that import each other, directly or indirectly."""
    return _circles(arrows(root))


def folder_circles(root: Path) -> list[str]:
    """Modules and folders side by side that import each other; a folder stands for all that is in it."""
    folders: dict[str, nx.DiGraph[str]] = defaultdict(nx.DiGraph)
    for importer, imported in arrows(root).edges:
        a, b = importer.split("."), imported.split(".")
        depth = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
        if depth is not None:  # else one is the other's folder
            folders[".".join(a[:depth])].add_edge(".".join(a[: depth + 1]), ".".join(b[: depth + 1]))
    found = {circle for graph in folders.values() for circle in _circles(graph)}
    return sorted(found.difference(circles(root)))  # those of modules alone are the other law's


def _circles(graph: "nx.DiGraph[str]") -> list[str]:
    return [" ↔ ".join(sorted(part)) for part in nx.strongly_connected_components(graph) if len(part) > 1]


def shared_names(root: Path) -> list[str]:
    """Public classes and functions that two modules define.

    Exceptions are the functions of commands, which have the commands' names, and those of `agent.api`.
    """
    homes = defaultdict(list)
    for name, path in modules(root).items():
        for node in tree_of(path).body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            is_command = name.startswith("agent.cli.") and path.stem.rstrip("_") == node.name.rstrip("_")
            is_verb = name == "agent.api" and isinstance(node, ast.FunctionDef)
            if not (node.name.startswith("_") or node.name == "main" or is_command or is_verb):
                homes[node.name].append(name)
    return [f"{name}: {', '.join(where)}" for name, where in sorted(homes.items()) if len(where) > 1]


def private_imports(root: Path) -> list[str]:
    """Names with a leading underscore that another module imports."""
    return [
        f"{name} imports {imported}"
        for name, path in modules(root).items()
        for imported in imports(tree_of(path))
        if imported.split(".")[0] in PACKAGES and imported.rpartition(".")[2].startswith("_")
    ]


def unexplained(root: Path) -> list[str]:
    """Modules without a docstring, and packages without a docstring of one sentence."""
    found = []
    for name, path in modules(root).items():
        said = ast.get_docstring(tree_of(path)) or ""
        one_line = "\n" not in said and said.endswith(".")
        if not said or (path.name == "__init__.py" and not one_line):
            found.append(name)
    return found


def too_large(root: Path) -> list[str]:
    """Files with too many lines, and folders with too many modules."""
    files = [
        f"{name}: {lines} lines"
        for name, path in modules(root).items()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    ]
    counts: dict[str, int] = defaultdict(int)
    for path in modules(root).values():
        counts[path.parent.relative_to(root).as_posix()] += path.name != "__init__.py"
    folders = [
        f"{folder}: {count} modules"
        for folder, count in counts.items()
        if count > MOST_MODULES and folder not in LARGE_FOLDERS
    ]
    return files + folders


def blind_catches(root: Path) -> list[str]:
    """`except Exception`, `except BaseException` and bare `except`."""
    return [
        f"{name}:{node.lineno}"
        for name, path in modules(root).items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]


def talk(root: Path) -> list[str]:
    """Modules outside the command line, except scripts, that print or read the process environment."""
    found = []
    for name, path in modules(root).items():
        if name.startswith("agent.cli"):
            continue
        tree = tree_of(path)
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        called = {func.id for func in calls if isinstance(func, ast.Name)}
        read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        is_script = any(isinstance(n, ast.If) and "__main__" in ast.unparse(n.test) for n in tree.body)
        if ("print" in called and not is_script) or read & {"environ", "getenv"}:
            found.append(name)
    return found


LAWS = (
    wrong_arrows,
    circles,
    folder_circles,
    shared_names,
    private_imports,
    unexplained,
    too_large,
    blind_catches,
    talk,
)
