"""What a report says, apart from how it is shown: words, tables, charts and replays."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    # What the column is sorted by; None sorts by the text, and numbers that are missing go last.
    order: float | None = None
    is_number: bool = False
    # The replay that belongs to this row, by its key.
    replay: str | None = None


@dataclass(frozen=True)
class Table:
    """Headings, each with an explanation or "", and rows."""

    headings: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite chart and what it shows in words, for those who do not see it."""

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
    # JSON-ready, as `agent.report.replay` makes it and the page's script reads it.
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """A whole report; the summary comes first and stands by itself."""

    title: str
    kind: str  # such as "Run"
    lead: str
    points: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    # Most telling first: when a page has no room for all, the last ones are left out.
    replays: tuple[Replay, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def text(value: str, replay: str | None = None) -> Cell:
    """A cell of words."""
    return Cell(value, replay=replay)


def number(value: float | None, digits: int = 2, *, sign: bool = False, unit: str = "") -> Cell:
    """A figure; what is missing or not a number is a dash, never a zero."""
    if is_missing(value):
        return Cell("–", is_number=True)
    assert value is not None
    return Cell(figure(value, digits, sign=sign) + unit, order=value, is_number=True)


def with_interval(value: float | None, bounds: tuple[float | None, float | None] | None) -> Cell:
    """A figure and its 95 % interval."""
    cell = number(value)
    shown = interval_text(bounds)
    return Cell(f"{cell.text} {shown}", cell.order, True) if shown and cell.order is not None else cell


def interval_text(
    bounds: tuple[float | None, float | None] | None, digits: int = 2, *, sign: bool = False
) -> str:
    """Such as "[0.71, 0.84]"; "" when there is none."""
    if bounds is None or is_missing(bounds[0]) or is_missing(bounds[1]):
        return ""
    low, high = (figure(bound, digits, sign=sign) for bound in bounds if bound is not None)
    return f"[{low}, {high}]"


def figure(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """The number as it is printed, with a true minus and without a negative zero."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f}".replace("-", "−")


def is_missing(value: float | None) -> bool:
    """Whether there is nothing to show."""
    return value is None or math.isnan(value)


def count(number_of: int, one: str, many: str = "") -> str:
    """Such as "1 task" and "3 tasks"."""
    return f"{number_of:,} {one}" if number_of == 1 else f"{number_of:,} {many or one + 's'}"
