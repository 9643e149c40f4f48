"""JSON from outside, read in one way everywhere, and refused in one way whatever is wrong with it."""

import json
import re
from typing import Any

from pydantic_core import from_json

# The most memory that the decoded value of a file may take, as far as its text tells.
LARGEST_FILE_BYTES = 512 * 2**20

_LONG_INTEGER = 301  # digits; longer ones are beyond every float, or nearly so
_LONG_RUN = b"0" * _LONG_INTEGER
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_STRING_OR_LONG_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?[0-9]{%d,}+[.eE]?' % _LONG_INTEGER, re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_PLACE = re.compile(r" at line (\d+) column (\d+)$")
# What one of each costs, at least; the longest values of all are sums of these.
_COSTS = ((b",", 32), (b'"', 25), (b":", 64), (b"[", 64), (b"{", 128))
_DEAREST = max(cost for _, cost in _COSTS) + 4


class NotJson(ValueError):
    """Text that is not JSON, or more than can be read safely; the message is a few words.

    Args:
        reason: those words, without the line.
        line: where, counted from 1; None where no line is to blame.
        found: what stands there.
    """

    def __init__(self, reason: str, line: int | None = None, found: str = "") -> None:
        super().__init__(f"{reason} at line {line}" if line else reason)
        self.reason, self.line, self.found = reason, line, found


def read_json(text: str | bytes, largest_bytes: int = LARGEST_FILE_BYTES, *, finite: bool = False) -> Any:
    """Decodes `text`, UTF-8 with or without a byte order mark.

    Half a surrogate pair becomes "�"; an integer beyond every float becomes infinite, as 1e999 does. No value
    is nested more than 201 deep, so that it can be validated, compared and written.

    Args:
        text: the text.
        largest_bytes: the most memory that the decoded value may take.
        finite: whether NaN and infinite numbers are refused.

    Raises:
        NotJson: not UTF-8, not JSON, nested too deeply, or too large.
    """
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    raw = raw.removeprefix(b"\xef\xbb\xbf")
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
    """What the decoded value takes, roughly."""
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
