"""Reads incidents for commands, from files or stdin."""

import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

from agent.cli.console import note, wide_console
from agent.terminal_text import printable
from data.channels import ChannelMap
from data.errors import SchemaError, SettingsError
from data.incident import Incident
from data.labels import KnownRoots
from data.observation import Observation
from data.options import Common, option
from data.words import count, few


class ReadOptions(Common):
    """How telemetry in files is read."""

    at: str | None = option(
        None, "When the incident began: Unix seconds or an ISO date. Default: detected.", metavar="TIME"
    )
    limit: int | None = option(None, "Read at most N traces or rows per file.", metavar="N", ge=1)


def read_files(paths: Sequence[Path], how: ReadOptions) -> tuple[Incident, ...]:
    """Reads incidents from files in any known format, with a progress bar and notes.

    Raises:
        SchemaError: a file is damaged or has an unknown form.
        SettingsError: the time is invalid, or after all recorded data.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from data.sources.files.reading import read_evidence

    stdin = _stdin() if any(str(path) == "-" for path in paths) else None
    for path in paths:
        if str(path) != "-" and not path.exists():
            raise SettingsError(f"{path}: no such file or folder")
    size = sum(path.stat().st_size for path in paths if path.is_file())
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn())
    console = wide_console(stderr=True, quiet=how.quiet)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("reading", total=size or None)
        at_s = time_of(how.at)
        found = read_evidence(paths, at_s, how.limit, stdin, lambda size: progress.advance(bar, size))
    for text in found.notes:
        note(printable(text), how.quiet)
    return found.incidents


def incidents_named(
    incident_id: str | None, incidents: Sequence[Incident], paths: Sequence[Path]
) -> Sequence[Incident]:
    """All incidents, or the one with this id.

    Raises:
        SchemaError: there is no such incident in `paths`.
    """
    if incident_id is None:
        return incidents
    found = [one for one in incidents if one.incident_id == incident_id]
    if not found:
        where = ", ".join("stdin" if str(path) == "-" else str(path) for path in paths)
        known = ", ".join([one.incident_id for one in incidents][:5]) or "no incident_id at all"
        raise SchemaError(where, "incident_id", known, f"there is no '{incident_id}': choose one of these")
    return found[:1]


def time_of(text: str | None) -> float | None:
    """The Unix time of `--at`.

    Raises:
        SettingsError: not a time.
    """
    if text is None:
        return None
    from data.sources.times import seconds

    found = seconds(text)
    if found is None:
        raise SettingsError(f"--at {text}: give Unix seconds or an ISO date such as 2026-11-30T09:15:00Z")
    return found


def tell_unused(known: KnownRoots, names: Iterable[str], quiet: bool) -> None:
    """Warns of labels that match nothing: their names may be wrong."""
    unused = sorted(set(known).difference(names))
    if unused:
        note(
            f"--labels: {len(unused)} of {len(known)} match nothing that was read, such as '{unused[0]}'",
            quiet,
        )


def _stdin() -> bytes:
    # `sys.stdin` may be None, despite its type.
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise SettingsError("stdin is closed: name a file, or pipe something in")
    return stdin.buffer.read()


_SHOWN = 5  # names
_LONGEST = 60  # characters of a name


def unmapped_in(evidence: Iterable[Incident | Observation], channel_map: ChannelMap) -> list[str]:
    """The metric names in `evidence` that no rule fits, sorted."""
    return channel_map.unmapped(chain.from_iterable(one.metric_names for one in evidence))


def tell_unmapped(names: Sequence[str], quiet: bool) -> None:
    """Warns of metric and alert names without a channel."""
    if not names:
        return
    told = count(len(names), "unknown metric or alert name")
    listed = few((printable(name)[:_LONGEST] for name in names), _SHOWN)
    note(f"{told}, not read: {listed} – give them a meaning with --rules FILE", quiet)
