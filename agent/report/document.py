"""The contents of a report, independent of its format: text, tables, charts and replays."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    # The sort key; None sorts by the text, with missing numbers last.
    order: float | None = None
    is_number: bool = False
    # The key of the row's replay.
    replay: str | None = None


@dataclass(frozen=True)
class Table:
    """Headings, each with an explanation or "", and rows."""

    headings: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]


Column = tuple[str, str, Callable[[T], Cell]]  # heading, explanation or "", and an item's cell


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite chart, with a description in words for those who cannot see it."""

    spec: Mapping[str, Any]
    description: str


@dataclass(frozen=True)
class Section:
    """One part of a report."""

    title: str
    text: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Replay:
    """One episode to step through."""

    key: str
    title: str
    # JSON from `agent.report.replay` for the page's script.
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """A report; the lead and points are its summary."""

    title: str
    kind: str  # such as "Run"
    lead: str
    points: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    # Most interesting first; the last ones are left out if the page gets too large.
    replays: tuple[Replay, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def table_of(items: Iterable[T], columns: Sequence[Column[T]]) -> Table:
    """A table with one line per item."""
    headings = tuple((heading, explanation) for heading, explanation, _ in columns)
    return Table(headings, tuple(tuple(cell(item) for *_, cell in columns) for item in items))


def label_of(source: str) -> str:
    """The last two parts of a source's path."""
    return "/".join(Path(source).parts[-2:])


def text(value: str, replay: str | None = None) -> Cell:
    """A cell of words."""
    return Cell(value, replay=replay)


def number(value: float | None, digits: int = 2, *, sign: bool = False, unit: str = "") -> Cell:
    """A cell with a number; a dash if missing or NaN."""
    if is_missing(value):
        return Cell("–", is_number=True)
    assert value is not None
    return Cell(figure(value, digits, sign=sign) + unit, order=value, is_number=True)


def with_interval(value: float | None, bounds: tuple[float | None, float | None] | None) -> Cell:
    """A cell with a number and its 95 % interval."""
    cell = number(value)
    shown = interval_text(bounds)
    return Cell(f"{cell.text} {shown}", cell.order, True) if shown and cell.order is not None else cell


def interval_text(
    bounds: tuple[float | None, float | None] | None, digits: int = 2, *, sign: bool = False
) -> str:
    """Such as "[0.71, 0.84]"; "" without an interval."""
    if bounds is None or is_missing(bounds[0]) or is_missing(bounds[1]):
        return ""
    low, high = (figure(bound, digits, sign=sign) for bound in bounds if bound is not None)
    return f"[{low}, {high}]"


def figure(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """The number as text, with a true minus sign and no negative zero."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f}".replace("-", "−")


def is_missing(value: float | None) -> bool:
    """Whether there is nothing to show."""
    return value is None or math.isnan(value)
