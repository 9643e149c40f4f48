"""Reads files with one JSON object."""

from pathlib import Path
from typing import Any

from data.errors import SchemaError
from data.files.json_text import NotJson, read_json
from data.limits import MIB, limits


def read_object(file: Path, fix: str = "give a JSON object") -> dict[str, Any]:
    """The object in `file`.

    Raises:
        SchemaError: not UTF-8, not JSON, or not an object; with `fix`.
    """
    try:
        with file.open("rb") as opened:
            result = read_json(opened.read(limits().file_mib * MIB + 1))
    except NotJson as error:
        where = f"{file}:{error.line}" if error.line else str(file)
        raise SchemaError(where, "", error.found, f"{error.reason} – {fix}") from None
    if not isinstance(result, dict):
        raise SchemaError(str(file), "", result, fix)
    return result
