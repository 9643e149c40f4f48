"""Turns a function and the model of its options into a command; used by all files of this folder."""

import inspect
import logging
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import ValidationError

from agent.cli.console import is_stdout
from agent.cli.environ import variables_from_environment
from data.limits import read_limits, set_limits
from data.options import Common

M = TypeVar("M", bound=Common)


def command(model: type[M]) -> Callable[[Callable[[M], int]], Callable[..., int]]:
    """Turns a function of `model` into a command; only options given on the command line are "set"."""

    def bridged(function: Callable[[M], int]) -> Callable[..., int]:
        def called(context: typer.Context, **values: Any) -> int:
            given = {
                name: _separated(value) if model.cli(name)["separated"] else value
                for name, value in values.items()
                if _was_given(context, name)
            }
            try:
                asked = model(**given)
            except ValidationError as error:
                [field, *_], message = error.errors()[0]["loc"] or ("",), error.errors()[0]["msg"]
                hint = f"'{model.cli(str(field))['name']}'" if field else None
                raise typer.BadParameter(message, param_hint=hint) from None
            if asked.json_to is not None:
                _check_writable(asked.json_to)
            if asked.quiet:  # `agent.cli.answer` undoes this
                logging.disable(logging.WARNING)
            set_limits(read_limits(variables_from_environment()))
            return function(asked)

        options = [name for name, field in model.model_fields.items() if field.description is not None]
        fields = sorted(options, key=lambda name: name in Common.model_fields)
        parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        parameters += [_parameter(model, name) for name in fields]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        # The terminal breaks the lines of a paragraph, not the source.
        text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(function) or "")
        called.__name__, called.__doc__ = function.__name__, text
        return called

    return bridged


def new_folder(kind: str) -> Path:
    """A new folder under `kind`, named after the current time."""
    name = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    folder, number = Path(kind) / name, 2
    while folder.exists():
        folder, number = Path(kind) / f"{name}-{number}", number + 1
    return folder


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _parameter(model: type[Common], name: str) -> inspect.Parameter:
    """A field as a parameter for typer."""
    field, shown = model.model_fields[name], model.cli(name)
    bounds = {type(bound).__name__: bound for bound in field.metadata}
    typed = filter(None, (shown["name"], shown["short"]))
    info = partial(
        typer.Argument if shown["positional"] else partial(typer.Option, *typed),
        help=field.description,
        metavar=shown["metavar"],
        min=bounds["Ge"].ge if "Ge" in bounds else None,
        max=bounds["Le"].le if "Le" in bounds else None,
        rich_help_panel=shown["panel"],
    )
    kind: Any = Literal[tuple(shown["choices"])] if shown["choices"] else field.annotation
    default: Any = inspect.Parameter.empty if field.is_required() else field.default
    if shown["separated"]:
        kind, default = str, ",".join(default)
    elif get_origin(kind) is tuple:
        [item, *_] = get_args(kind)
        kind = list[get_args(item)[0] if get_origin(item) is Annotated else item]  # type: ignore[misc]
        default = list(default) if isinstance(default, tuple) else default
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info()]
    )


def _separated(names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (name.strip() for name in names.split(",")))))


def _check_writable(target: Path) -> None:
    """Checks early that the file can be written, without leaving anything behind."""
    if is_stdout(target) or (target.exists() and not target.is_file() and not target.is_dir()):
        return
    if target.is_dir():
        raise typer.BadParameter(f"{target} is a folder: name a file in it", param_hint="'--json'")
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise typer.BadParameter(
            f"{target} cannot be written ({error.strerror}): name another file", param_hint="'--json'"
        ) from None
