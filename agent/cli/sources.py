"""Opens what commands learn from or score on: episodes, incidents, simulated worlds."""

import gzip
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from agent.cli.console import note
from data.errors import SchemaError, SettingsError
from data.files.jsonl import is_packed
from data.incident import Incident
from data.labels import KnownRoots

if TYPE_CHECKING:
    pass


def tell_unused(known: KnownRoots, names: Iterable[str], quiet: bool) -> None:
    """One line on labels of what is not there, if there are any: their names may be wrong."""
    unused = sorted(set(known).difference(names))
    if unused:
        note(
            f"--labels: {len(unused)} of {len(known)} name nothing that was read, '{unused[0]}' first", quiet
        )


def simulated(number: int, seed: int) -> Iterable[Incident]:
    """Freshly simulated incidents."""
    if not number:
        return ()
    from data.simulator.batch.generate import simulate

    return simulate(number, seed)


def bytes_of(path: Path) -> bytes:
    """What a file, or stdin for '-', holds, unpacked if it is gzip.

    Raises:
        SchemaError: a gzip file that is not whole.
        SettingsError: there is no stdin.
    """
    is_stdin = str(path) == "-"
    # Without a stdin Python has none either, whatever its types say.
    stdin: TextIO | None = sys.stdin
    if is_stdin and stdin is None:
        raise SettingsError("stdin is closed: name a file, or pipe something in")
    raw = sys.stdin.buffer.read() if is_stdin else path.read_bytes()
    try:
        return gzip.decompress(raw) if is_packed(path.name, raw[:2]) else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        where = "stdin" if is_stdin else str(path)
        raise SchemaError(where, "", str(error), "give a whole gzip file") from None
