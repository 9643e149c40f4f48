"""Files that hold one JSON object each."""

import json
from pathlib import Path
from typing import Any

from data.errors import SchemaError
from data.files.json_text import not_json, read_json


def read_object(file: Path, fix: str = "give a JSON object") -> dict[str, Any]:
    """The object in `file`.

    Raises:
        SchemaError: not UTF-8, not JSON, or not an object; says `fix`.
    """
    raw = file.read_bytes()
    try:
        result = read_json(raw)
    except UnicodeDecodeError as error:
        shown = raw[error.start : error.end]
        raise SchemaError(str(file), "", shown, f"not UTF-8 – {fix}") from None
    except json.JSONDecodeError as error:
        found = error.doc[error.pos : error.pos + 20]
        raise SchemaError(f"{file}:{error.lineno}", "", found, f"not JSON – {fix}") from None
    except ValueError as error:
        raise SchemaError(str(file), "", raw[:20].decode(), f"{not_json(error)} – {fix}") from None
    if not isinstance(result, dict):
        raise SchemaError(str(file), "", result, fix)
    return result
