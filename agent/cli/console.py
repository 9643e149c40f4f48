"""What a person and a script get to see: notes on stderr, results as JSON."""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def note(message: str, quiet: bool = False) -> None:
    """One line for the person at the keyboard."""
    if not quiet:
        print(message, file=sys.stderr, flush=True)


def write_json(target: Path | None, results: Any) -> None:
    """Writes results as data to a file or, for '-', to stdout; what is not a number becomes null."""
    if target is None:
        return
    text = json.dumps(_plain(results), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if is_stdout(target):
        sys.stdout.write(text)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def is_stdout(target: Path | None) -> bool:
    """Whether results were asked for on stdout."""
    return target is not None and str(target) == "-"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
