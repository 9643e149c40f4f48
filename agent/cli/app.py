"""The list of commands; each is loaded only when it is run."""

import ast
import importlib
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# Each command is a function in the file of the same name; with a "_" at the end if it is a Python keyword.
COMMANDS = (
    "run",
    "collect",
    "train",
    "evaluate",
    "ablate",
    "rank",
    "diagnose",
    "investigate",
    "import",
    "label",
    "listen",
    "mcp",
    "report",
    "serve",
    "check",
    "export",
    "sft",
    "grpo",
)


class Commands(TyperGroup):
    """Loads a command on demand; the list has each one's first sentence, read from its file."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name) for name in COMMANDS}  # suggested for an unknown name

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command as the list shows it."""
        return TyperCommand(cmd_name, help=_first_sentence(cmd_name)) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Loads the requested command."""
        name, *rest = args
        return (name, _loaded(name), rest) if name in COMMANDS else super().resolve_command(ctx, args)


def _file(name: str) -> Path:
    file = Path(__file__).with_name(f"{name}.py")
    return file if file.exists() else file.with_stem(f"{name}_")


def _first_sentence(name: str) -> str:
    tree = ast.parse(_file(name).read_text(encoding="utf-8"))
    [function] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.rstrip("_") == name]
    return (ast.get_docstring(function) or "").split("\n\n")[0].replace("\n", " ")


def _loaded(name: str) -> Any:
    function = _file(name).stem
    module = importlib.import_module(f"agent.cli.{function}")
    only = typer.Typer(rich_markup_mode="rich", add_completion=False)
    only.command(name)(getattr(module, function))
    return typer.main.get_command(only)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"firewatch {version('firewatch-rca')}")
        raise typer.Exit


app = typer.Typer(
    name="firewatch",
    help="Finds the root cause of microservice incidents with a graph network, and acts on it.",
    cls=Commands,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def firewatch(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Finds the root cause of microservice incidents with a graph network, and acts on it."""
