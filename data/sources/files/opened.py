"""Opens a file, packed or not, and looks at its beginning to recognise its format."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, cast

from data.errors import SchemaError
from data.files.json_stream import items, paths_in
from data.observation import M, parse

_HEAD = 1 << 17  # bytes to recognise the format from
_LARGEST = 1 << 29  # bytes of a file that cannot be read piece by piece
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Head:
    """The beginning of a file, unpacked."""

    raw: bytes

    @cached_property
    def text(self) -> str:
        """As text; bytes that are not UTF-8 are replaced."""
        return self.raw.decode("utf-8-sig", "replace")

    @cached_property
    def paths(self) -> frozenset[str]:
        """The paths of the keys, for JSON, such as "data.result[].metric"."""
        return paths_in(self.text) if self.text.lstrip()[:1] in ("{", "[") else frozenset()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, for a table with commas, tabs or semicolons."""
        line = self._first_line
        if not line or self.paths or line[0] in "{[#" or "\0" in line:
            return ()
        names = next(csv.reader([line], delimiter=self.delimiter))
        return tuple(name.strip() for name in names) if len(names) > 1 else ()

    @property
    def delimiter(self) -> str:
        """The separator of the columns."""
        return max(",\t;", key=self._first_line.count)

    @property
    def _first_line(self) -> str:
        return self.text.lstrip("\n\r").partition("\n")[0].partition("\r")[0]

    def has(self, *paths: str) -> bool:
        """Whether all of these keys occur."""
        return self.paths.issuperset(paths)


class File:
    """One input.

    Args:
        path: its path, or "-" for stdin.
        content: the bytes, if it is not on disk.
        on_bytes: called with the number of bytes read, before unpacking.
    """

    def __init__(
        self, path: Path, content: bytes | None = None, on_bytes: Callable[[int], object] | None = None
    ) -> None:
        self.path, self._content, self._on_bytes = path, content, on_bytes
        self.where = "stdin" if str(path) == "-" else str(path)

    @cached_property
    def head(self) -> Head:
        """Its beginning."""
        with self.open() as stream:
            return Head(stream.read(_HEAD))

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked as they are read.

        Raises:
            SchemaError: it cannot be read, or is packed and damaged.
        """
        import zstandard

        try:
            with self._raw() as raw:
                start = raw.peek(4)[:4]
                if start[:2] == _GZIP:
                    yield cast(IO[bytes], gzip.GzipFile(fileobj=raw))
                elif start == _ZSTD:
                    yield zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
                        raw, read_across_frames=True
                    )
                else:
                    yield cast(IO[bytes], raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SchemaError(self.where, "", str(error), "give a whole gzip file") from None
        except zstandard.ZstdError as error:
            raise SchemaError(self.where, "", str(error)[:60], "give a whole zstd file") from None
        except OSError as error:
            raise SchemaError(self.where, "", error.strerror or str(error), "give a readable file") from None

    def each(self, model: type[M], path: str = "", limit: int | None = None) -> Iterator[M]:
        """What is at `path` in its JSON, see `items`, at most `limit` of it.

        Raises:
            SchemaError: it is not JSON, or an item is of another form.
        """
        with self.open() as stream:
            for raw in islice(items(stream, self.where, path), limit):
                yield parse(model, raw, self.where)

    def read(self) -> bytes:
        """All of it.

        Raises:
            SchemaError: it cannot be read, or is too large to be held.
        """
        with self.open() as stream:
            raw = stream.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            fix = "this format is read as a whole: split the file"
            raise SchemaError(self.where, "", f"more than {_LARGEST >> 20} MB", fix)
        return raw

    def _raw(self) -> io.BufferedReader:
        inner = io.BytesIO(self._content) if self._content is not None else self.path.open("rb", buffering=0)
        return io.BufferedReader(_Counted(inner, self._on_bytes), 1 << 18)


class _Counted(io.RawIOBase):
    """A stream that reports how much of it was read."""

    def __init__(self, inner: IO[bytes] | io.RawIOBase, on_bytes: Callable[[int], object] | None) -> None:
        self._inner, self._on_bytes = inner, on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        raw = self._inner.read(len(buffer)) or b""
        buffer[: len(raw)] = raw
        if self._on_bytes:
            self._on_bytes(len(raw))
        return len(raw)

    def close(self) -> None:
        self._inner.close()
        super().close()
