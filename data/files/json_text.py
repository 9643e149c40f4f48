"""Reads untrusted JSON, with limits and one error for everything that can be wrong."""

import json
import re
from typing import Any

from pydantic_core import from_json

from data.limits import MIB, limits

_LONG_INTEGER = 301  # digits; about the largest integer that fits a float
_LONG_RUN = b"0" * _LONG_INTEGER
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_STRING_OR_LONG_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?[0-9]{%d,}+[.eE]?' % _LONG_INTEGER, re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_PLACE = re.compile(r" at line (\d+) column (\d+)$")
# Bytes of memory for each such character, at least.
_COSTS = ((b",", 32), (b'"', 25), (b":", 64), (b"[", 64), (b"{", 128))
_DEAREST = max(cost for _, cost in _COSTS) + 4


class NotJson(ValueError):
    """Text that is not JSON, or too large to read safely.

    Args:
        reason: a few words, without the line.
        line: counted from 1; None if no line is to blame.
        found: the text there.
    """

    def __init__(self, reason: str, line: int | None = None, found: str = "") -> None:
        super().__init__(f"{reason} at line {line}" if line else reason)
        self.reason, self.line, self.found = reason, line, found


def read_json(text: str | bytes, largest_bytes: int | None = None, *, finite: bool = False) -> Any:
    """Decodes `text`, UTF-8 with or without a byte order mark.

    Half a surrogate pair becomes "�"; an integer too large for a float becomes infinite, like 1e999. Values
    nested more than 201 deep are refused, so that all others can be validated, compared and written.

    Args:
        largest_bytes: memory for the decoded value; that of a file when None.
        finite: refuse NaN and infinite numbers.

    Raises:
        NotJson: not UTF-8, not JSON, nested too deeply, or too large.
    """
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    largest_bytes = largest_bytes or limits().file_mib * MIB
    if len(raw) * _DEAREST > largest_bytes and _decoded_bytes(raw) > largest_bytes:
        raise NotJson(f"too large: it would take over {largest_bytes / 2**20:.0f} MiB of memory")
    if b"\\ud" in raw or b"\\uD" in raw or _LONG_RUN in raw.translate(_DIGITS_AS_ZERO):
        raw = _STRING_OR_LONG_NUMBER.sub(_mended, raw)
    try:
        value = from_json(raw, allow_inf_nan=not finite)
    except ValueError as error:
        raise _refusal(raw, str(error)) from None
    if finite:
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise NotJson("a number that is not finite") from None
    return value


def _decoded_bytes(raw: bytes) -> int:
    """The approximate memory for the decoded value."""
    width = 1 if raw.isascii() and b"\\u" not in raw else 4  # one wide character widens a whole string
    return width * len(raw) + sum(cost * raw.count(sign) for sign, cost in _COSTS)


def _mended(match: re.Match[bytes]) -> bytes:
    found = match[0]
    if found.startswith(b'"'):
        return _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], found)
    if found[-1:] in b".eE":
        return found
    return b"-1e999" if found.startswith(b"-") else b"1e999"


def _refusal(raw: bytes, reason: str) -> NotJson:
    if "recursion limit" in reason:
        return NotJson("nested too deeply")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return NotJson("not UTF-8", found=repr(raw[error.start : error.end]))
    place = _PLACE.search(reason)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    rest = raw.split(b"\n", line)[line - 1][max(column - 1, 0) :]
    return NotJson("not JSON", line, rest[:80].decode(errors="replace")[:20])
