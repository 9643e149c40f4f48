"""Reads JSON files of any size item by item, with only one item in memory."""

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any, NoReturn

from data.errors import SchemaError
from data.files.json_text import NotJson, read_json

_CHUNK = 1 << 18  # bytes
_LARGEST = 1 << 28  # characters of one item
_LONGEST_TOKEN = 16  # characters: the end of a chunk may cut -Infinity or an escape
_DEEPEST = 12  # levels that `paths_in` looks at
_BLANK = re.compile(r"[\s,]*")
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|[{}\[\]]', re.DOTALL)
_CUT_OFF = "the file ends in the middle of a value: get it again, whole"


def items(stream: IO[bytes], where: str, path: str = "") -> Iterator[Any]:
    """Yields what is at `path` in each value of `stream`; there may be several values, as in JSON lines.

    Args:
        stream: UTF-8, with or without a byte order mark.
        path: as in `paths_in`: "data.result[]" means every item of that list, "" the whole value.

    Raises:
        SchemaError: not JSON, truncated, nested too deeply, or an item is too large.
    """
    text = _Text(stream, where)
    keys = re.findall(r"\[\]|[^.\[\]]+", path)
    while text.peek():
        yield from _below(text, keys)


def paths_in(head: str) -> frozenset[str]:
    """The paths of the keys at the start of JSON text: {"data", "data.result", "data.result[].value"}."""
    found: set[str] = set()
    open_at: list[str] = []  # the paths of the objects and lists that are open
    key: str | None = None
    for token in _TOKEN.finditer(head):
        if len(open_at) > _DEEPEST and token[0] not in "{}[]":
            continue
        if token[2] and open_at:
            key = f"{open_at[-1]}.{token[1]}".removeprefix(".")
            found.add(key)
        elif token[0] in "{[":
            here = key if key is not None else open_at[-1] if open_at else ""
            open_at.append((here + "[]" if token[0] == "[" else here) if len(open_at) < _DEEPEST else "…")
            key = None
        elif token[0] in "}]":
            open_at = open_at[:-1]
            key = None
        else:  # a string value
            key = None
    return frozenset(found)


def _below(text: "_Text", keys: Sequence[str]) -> Iterator[Any]:
    """Yields what is at `keys` in the next value, and reads that value to its end."""
    start = text.peek()
    if not keys:
        yield text.value()
    elif start == "[" and keys[0] == "[]":
        text.skip()
        while text.peek_inside() != "]":
            yield from _below(text, keys[1:])
        text.skip()
    elif start == "{" and keys[0] != "[]":
        text.skip()
        while text.peek_inside() != "}":
            name = text.value()
            if text.peek_inside() != ":":
                text.refuse("not JSON")
            text.skip()
            if name == keys[0]:
                yield from _below(text, keys[1:])
            else:
                text.value()
        text.skip()
    else:
        text.value()


class _Text:
    """The characters of a stream; used ones are dropped."""

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self._stream, self._where = stream, where
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._line = "", 0, 1
        self._is_over = False

    def peek(self) -> str:
        """The next non-blank character; "" at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def peek_inside(self) -> str:
        """Like `peek`, where the text must not end."""
        return self.peek() or self.refuse(_CUT_OFF)

    def skip(self) -> None:
        """Skips one character."""
        self._at += 1

    def value(self) -> Any:
        """Reads the next value."""
        self.peek_inside()
        while True:
            try:
                value, end = self._decoded()
                if end < len(self._text) or not self._more():  # at the end, a number might continue
                    break
            except json.JSONDecodeError as error:
                is_open = error.msg.startswith("Unterminated")
                is_near = is_open or error.pos >= len(self._text) - _LONGEST_TOKEN
                if not is_near or not self._more():
                    self._at = min(error.pos, len(self._text))
                    self.refuse(_CUT_OFF if is_open or self._at == len(self._text) else "not JSON")
        self._at = end
        return value

    def refuse(self, why: str) -> NoReturn:
        """Raises an error with the current position."""
        line = self._line + self._text.count("\n", 0, self._at)
        found = self._text[self._at : self._at + 20]
        raise SchemaError(f"{self._where}:{line}", "", found or "its end", why)

    def _decoded(self) -> tuple[Any, int]:
        try:
            value, end = _DECODER.raw_decode(self._text, self._at)
        except RecursionError:
            self.refuse("nested too deeply")
        except json.JSONDecodeError:
            raise
        except ValueError:  # Python refuses integers with thousands of digits
            value, end = _PATIENT.raw_decode(self._text, self._at)
        if self._text.find("\\u", self._at, end) >= 0:  # maybe half a surrogate pair, which cannot be written
            try:
                value = read_json(self._text[self._at : end])
            except NotJson as error:
                self.refuse(str(error))
        return value, end

    def _more(self) -> bool:
        """Reads more, in growing chunks for a long value; False at the end of the stream."""
        if self._is_over:
            return False
        self._line += self._text.count("\n", 0, self._at)
        self._text = self._text[self._at :]
        self._at = 0
        if len(self._text) > _LARGEST:
            self.refuse(f"one value of more than {_LARGEST >> 20} MB: split it")
        raw = self._stream.read(max(_CHUNK, len(self._text)))
        try:
            self._text += self._utf8.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            raise SchemaError(self._where, "", raw[error.start : error.end], "not UTF-8") from None
        self._is_over = not raw
        return True


_DECODER = json.JSONDecoder()
_PATIENT = json.JSONDecoder(parse_int=float)
