"""Crash-safe JSON lines: readers see only complete lines, even if the writer was killed."""

import fcntl
import gzip
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from data.errors import SchemaError
from data.files.json_text import NotJson, read_json
from data.files.whole_file import named
from data.limits import MIB, limits

SUFFIXES = (".jsonl", ".jsonl.gz")
_MOST_BLANK_LINES = 10_000

_log = logging.getLogger(__name__)


def append(path: Path, record: Mapping[str, Any], *, durable: bool = True) -> None:
    """Appends `record` to `path` as one line, and flushes it to disk.

    A half-written last line is removed first. Several processes may append to the same file.

    Args:
        durable: if False, don't wait for the disk: the line survives this process, but not a power cut.
            `sync` catches up.
    """
    line = line_of(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with named(path), path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
        line = _mend_end(file) + line
        while line:
            line = line[file.write(line) :]
        if durable:
            os.fsync(file.fileno())


def line_of(record: Mapping[str, Any]) -> bytes:
    """The record as one line."""
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def sync(path: Path) -> None:
    """Flushes every line of `path` to disk."""
    with path.open("ab") as file:
        os.fsync(file.fileno())


def read(path: Path, form: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (line number from 1, object) for every non-blank line of a plain or gzip file.

    An incomplete last line (after a crash) is skipped with a warning.

    Args:
        form: what a line should be, for a user's file, which must have a complete line. Our own stores may
            be empty after a crash.

    Raises:
        SchemaError: the file cannot be read, or a line is not a JSON object.
    """
    try:
        with _open(path) as file:
            yield from read_lines(file, str(path), form)
    except OSError as error:
        raise SchemaError(str(path), "", error.strerror or str(error), "give a readable file") from None
    except (EOFError, zlib.error) as error:
        raise SchemaError(str(path), "", str(error), "give a whole gzip file") from None


def read_lines(
    lines: IO[bytes] | gzip.GzipFile, where: str, form: str = ""
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Like `read`, from an open stream."""
    whole = blank = 0
    largest = limits().line_mib * MIB
    fix = f"write one JSON object a line: {form}" if form else "write one JSON object a line"
    for number, line in enumerate(iter(lambda: lines.readline(largest + 1), b""), start=1):
        at = f"{where}:{number}"
        if len(line) > largest:
            raise SchemaError(at, "", f"over {largest // MIB} MiB in one line", fix)
        if line.isspace():
            blank += 1
            if blank > _MOST_BLANK_LINES:
                raise SchemaError(at, "", f"over {_MOST_BLANK_LINES} blank lines", fix)
            continue
        try:
            record = read_json(line)
        except NotJson as error:
            if not line.endswith(b"\n") and not (form and not whole):
                _log.warning("%s: left out a torn last line", at)
                continue
            shown = line[:200].decode(errors="replace").strip() if error.line else str(error)
            raise SchemaError(at, "", shown, _without_list(fix, shown.startswith("["))) from None
        if not isinstance(record, dict):
            raise SchemaError(at, "", record, _without_list(fix, isinstance(record, list)))
        whole += 1
        yield number, record
    if form and not whole:
        raise SchemaError(where, "", "no line", fix)


def files(path: Path) -> tuple[Path, ...]:
    """`path` itself, or the `.jsonl` and `.jsonl.gz` files directly in the folder `path`, sorted by name.

    Raises:
        SchemaError: there is no such file or folder, or the folder holds no such files.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise SchemaError(
            str(path), "", "no such file or folder", "give a .jsonl or .jsonl.gz file or a folder"
        )
    found = tuple(sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES)))
    if not found:
        raise SchemaError(str(path), "", "a folder without .jsonl or .jsonl.gz files", "give another folder")
    return found


def is_packed(name: str, start: bytes) -> bool:
    """Whether a file is gzip, by its name or its first two bytes."""
    return name.endswith(".gz") or start == b"\x1f\x8b"


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    with path.open("rb") as file:
        packed = is_packed(path.name, file.read(2))
    return gzip.open(path, "rb") if packed else path.open("rb")


def _without_list(fix: str, is_list: bool) -> str:
    return fix.replace("a line", "a line, without a list around them", 1) if is_list else fix


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = read_json(line)
    except NotJson:
        return None
    return record if isinstance(record, dict) else None


def _mend_end(file: IO[bytes]) -> bytes:
    """Removes an incomplete last line; returns the line end if a complete last line lacks it."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and b"\n" not in tail:
        size = min(start, 1 << 16)
        start -= size
        file.seek(start)
        tail = file.read(size) + tail
    last = tail[tail.rfind(b"\n") + 1 :]
    if last and _parse(last) is not None:
        return b"\n"
    file.truncate(end - len(last))
    return b""
