"""Files that are read and written whole: one JSON object each, or lines that replace others."""

import json
import os
from pathlib import Path
from typing import Any

from data.errors import SchemaError


def read_object(file: Path, fix: str = "give a JSON object") -> dict[str, Any]:
    """The object in `file`.

    Raises:
        SchemaError: not UTF-8, not JSON, or not an object; says `fix`.
    """
    raw = file.read_bytes()
    try:
        result = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        shown = raw[error.start : error.end]
        raise SchemaError(str(file), "", shown, f"not UTF-8 – {fix}") from None
    except json.JSONDecodeError as error:
        found = error.doc[error.pos : error.pos + 20]
        raise SchemaError(f"{file}:{error.lineno}", "", found, f"not JSON – {fix}") from None
    if not isinstance(result, dict):
        raise SchemaError(str(file), "", result, fix)
    return result


def write_whole(path: Path, text: str) -> None:
    """Replaces a file at once: a reader, or a crash, finds the old one or the new one."""
    scratch = path.with_name(path.name + ".new")
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
