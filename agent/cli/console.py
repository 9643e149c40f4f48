"""Output for people (notes on stderr) and scripts (JSON)."""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.terminal_text import printable
from data.files.whole_file import named, write_whole

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LOG_WIDTH = 180


def note(message: str, quiet: bool = False) -> None:
    """Prints one line on stderr."""
    if not quiet:
        print(message, file=sys.stderr, flush=True)


def write_json(target: Path | None, results: Any) -> None:
    """Writes results as JSON to a file or, for '-', to stdout; NaN becomes null."""
    if target is None:
        return
    if is_stdout(target):
        with named("stdout"):
            sys.stdout.write(_json_text(results, sys.stdout.encoding or "utf-8"))
    else:
        write_whole(target, _json_text(results, "utf-8"))


def is_stdout(target: Path | None) -> bool:
    """Whether results go to stdout."""
    return target is not None and str(target) == "-"


def _json_text(results: Any, encoding: str) -> str:
    """JSON with plain characters, or with escapes if the encoding lacks one of them."""
    plain = _plain(results)
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(plain, indent=2, allow_nan=False) + "\n"
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def wide_console(stderr: bool = False, quiet: bool = False) -> "Console":
    """A console as wide as the terminal; wide enough for long names in a file or pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, quiet=quiet, width=None if stream.isatty() else _LOG_WIDTH)


def text_table(headings: Iterable[str], rows: Iterable[Iterable[str]], title: str | None = None) -> "Table":
    """A plain table; cells are shown as text, without markup or terminal codes."""
    from rich.table import Column, Table
    from rich.text import Text

    # Two long names may differ in their ends alone.
    columns = (Column(heading, overflow="fold") for heading in headings)
    table = Table(*columns, title=title, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
