"""Opens what commands learn from or score on: episodes, incidents, simulated worlds."""

import gzip
import sys
import zlib
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from agent.cli.console import note
from data.channels import ChannelMap
from data.episodes import Episode, read_episodes
from data.errors import SchemaError, SettingsError
from data.files.jsonl import is_packed
from data.incident import Incident
from data.labels import KnownRoots, apply_labels, label_incidents
from data.sources.own_form import read_incidents

if TYPE_CHECKING:
    from data.simulator.batch.healthy import HealthyWindow


def episodes_of(paths: Sequence[Path] | None, known: KnownRoots) -> tuple[Episode, ...]:
    """The episodes of all files and folders, with root causes known from elsewhere where there are some."""
    episodes = tuple(chain.from_iterable(read_episodes(path) for path in paths or ()))
    return apply_labels(episodes, known) if known else episodes


def incidents_of(
    paths: Sequence[Path] | None, known: KnownRoots = MappingProxyType({})
) -> tuple[Incident, ...]:
    """The incidents of all files and folders, with root causes known from elsewhere where there are some."""
    return label_incidents(chain.from_iterable(read_incidents(path) for path in paths or ()), known)


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


def healthy_of(
    incidents: Sequence[Incident], paths: Sequence[Path], rules: ChannelMap
) -> "tuple[HealthyWindow, ...]":
    """The healthy windows of a system in what was read from `paths`.

    Raises:
        SettingsError: there is no healthy series in them that the rules know.
    """
    from data.simulator.batch.healthy import healthy_windows

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
