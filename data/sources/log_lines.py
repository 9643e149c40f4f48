"""The informative log lines of a service, with repeats counted, and the query that shows them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from data.errors import TelemetryFault

TROUBLE = r"error|warn|fatal|panic|exception|critical|killed|refused|timed? ?out|denied|exhausted|unreachable"
_TROUBLE = re.compile(TROUBLE, re.IGNORECASE)
_LOG = re.compile(r"\.(?:log|txt|out|err)\b|^[^.]+$")  # such as cart.log.1; not what is packed
_CHANGING = re.compile(r"[0-9a-f]{8,}|\d+", re.IGNORECASE)
_MOST, _LONGEST = 12, 300  # lines, characters
_TAIL = 1_000_000  # bytes of a file
_FILES = 1000


class LogLines(NamedTuple):
    """Log lines, and the query or file that shows them."""

    lines: tuple[str, ...]
    query: str


class LogSource(Protocol):
    """A source of services' log lines."""

    async def lines(self, service: str) -> LogLines:
        """The lines of a service, the most informative last.

        Raises:
            TelemetryFault: they cannot be read.
        """


def telling(lines: Iterable[str]) -> tuple[str, ...]:
    """A few lines, those about trouble last; one of each kind that differs only in numbers, with a count."""
    kinds: dict[str, list[str]] = {}
    for line in lines:
        text = " ".join(line.split())[:_LONGEST]
        if text:
            kinds.setdefault(_CHANGING.sub("#", text), []).append(text)
    shown = [
        one[-1] + (f" (and {len(one) - 1} more like it)" if len(one) > 1 else "") for one in kinds.values()
    ]
    shown.sort(key=lambda line: bool(_TROUBLE.search(line)))
    return tuple(shown[-_MOST:])


class LogFiles:
    """Log files: of one service, named after it, or of several services that the lines name.

    Args:
        services: all that there are, so that "cart-db.log" is not taken for one of "cart".
    """

    def __init__(self, paths: Sequence[Path], services: Sequence[str]) -> None:
        self._paths = paths
        self._services = sorted(services, key=len, reverse=True)

    async def lines(self, service: str) -> LogLines:
        """See `LogSource`."""
        own, shared = list[Path](), list[Path]()
        for file in self._files():
            owner = next((one for one in self._services if _is_named(file, one)), None)
            (own if owner == service else shared if owner is None else []).append(file)
        found = [line for file in own for line in _tail(file)]
        names = re.compile(rf"(?<![\w-]){re.escape(service)}(?![\w-])")
        told = [*own]
        for file in shared:
            lines = [line for line in _tail(file) if names.search(line)]
            found += lines
            told += [file] * bool(lines)
        return LogLines(telling(found), ", ".join(map(str, told[:3])))

    def _files(self) -> list[Path]:
        inside = [
            file
            for path in self._paths
            for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
            if not path.is_dir() or (_LOG.search(file.name) and file.is_file())
        ]
        return inside[:_FILES]


def _is_named(file: Path, service: str) -> bool:
    """Whether a file is named after a service: cart.log, cart-0.log, cart.2026-11-30.log."""
    return re.match(rf"{re.escape(service)}(?![^\W_])", file.name) is not None


def _tail(file: Path) -> list[str]:
    try:
        with file.open("rb") as stream:
            start = max(stream.seek(0, 2) - _TAIL, 0)
            stream.seek(start)
            text = stream.read().decode("utf-8", "replace")
    except OSError as error:
        raise TelemetryFault(f"{file} cannot be read: {error.strerror}") from None
    return text.splitlines()[1 if start else 0 :]
