"""Opens what commands learn from or score on: episodes, incidents, simulated worlds."""

import gzip
import sys
import zlib
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from data.channels import ChannelMap
from data.episodes import Episode, read_episodes
from data.errors import SchemaError, SettingsError
from data.incident import Incident
from data.incidents import read_incidents
from data.jsonl import is_packed
from data.labels import apply_labels, read_labels

if TYPE_CHECKING:
    from data.simulator.healthy import HealthyWindow


def episodes_of(paths: Sequence[Path] | None, labels: Path | None) -> tuple[Episode, ...]:
    """The episodes of all files and folders, with the labels file's root causes where it has them."""
    episodes = tuple(chain.from_iterable(read_episodes(path) for path in paths or ()))
    return apply_labels(episodes, read_labels(labels)) if labels else episodes


def incidents_of(paths: Sequence[Path] | None) -> tuple[Incident, ...]:
    """The incidents of all files and folders."""
    return tuple(chain.from_iterable(read_incidents(path) for path in paths or ()))


def simulated(number: int, seed: int) -> Iterable[Incident]:
    """Freshly simulated incidents."""
    if not number:
        return ()
    from data.simulator.generate import simulate

    return simulate(number, seed)


def healthy_of(
    incidents: Sequence[Incident], paths: Sequence[Path], rules: ChannelMap
) -> "tuple[HealthyWindow, ...]":
    """The healthy windows of a system in what was read from `paths`.

    Raises:
        SettingsError: there is no healthy series in them that the rules know.
    """
    from data.simulator.healthy import healthy_windows

    windows = healthy_windows(incidents, rules)
    if not windows:
        raise SettingsError(
            f"--healthy {' '.join(map(str, paths))}: no known metric with two healthy points – give windows "
            "with a baseline, or --rules FILE that gives their metric names a meaning"
        )
    return windows


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
