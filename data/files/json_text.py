"""JSON from outside, read in one way everywhere, and refused in one way whatever is wrong with it."""

import json
from typing import Any

_LONGEST_INTEGER = 400  # digits; beyond is beyond every float


def read_json(text: str | bytes) -> Any:
    """Decodes `text`, UTF-8 with or without a byte order mark.

    Half a surrogate pair becomes "�"; an integer beyond every float becomes infinite, as 1e999 does.

    Raises:
        ValueError: not UTF-8, not JSON, or nested too deeply; `not_json` has the words.
    """
    text = (text.decode("utf-8") if isinstance(text, bytes) else text).removeprefix("\ufeff")
    try:
        value = _loaded(text)
        return without_halves(value) if "\\ud" in text or "\\uD" in text else value
    except RecursionError:
        raise ValueError("nested too deeply") from None


def not_json(error: ValueError) -> str:
    """What `read_json` found."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON at line {error.lineno}"
    return str(error)


def without_halves(value: Any) -> Any:
    """`value` with every half of a surrogate pair replaced: no text with one can be written or sent again."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python refuses to read an integer of thousands of digits
        return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)
