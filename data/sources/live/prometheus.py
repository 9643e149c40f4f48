"""Prometheus' HTTP API, read only, for one period: names, labels, instant values, series on a grid."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from data.arrays import Floats, Ints
from data.errors import TelemetryFault
from data.sources.live.http import Http
from data.sources.samples import Grid

T = TypeVar("T")

_VALUES = b'"values":[['
_MOST_SERIES = 100_000  # of one answer; no system has so many services
_MOST_POINTS = 11_000  # of one series: Prometheus refuses more
_SCRAPES = 4  # over which a rate is taken, at least
_BATCH = 500  # series to read at once
_NO_NUMBERS = "Prometheus sent values that are not numbers"
_LARGEST_BATCH = 64_000_000  # bytes of their values


def grid_between(start_s: float, end_s: float, scrape_s: float, points: int) -> Grid:
    """A grid of about `points` points at most, no finer than the scrapes, that ends at `end_s`."""
    span = end_s - start_s
    step = max(scrape_s * np.ceil(span / points / scrape_s), span / _MOST_POINTS)
    n = int(span / step)
    return Grid(end_s - n * step, end_s, float(step), float(max(_SCRAPES * scrape_s, step)))


class Rows(NamedTuple):
    """The series of an answer."""

    labels: Sequence[Mapping[str, str]]  # (N,)
    values: Floats  # (N, T) on the grid, NaN where missing


class Prometheus:
    """Queries a Prometheus, or anything with its API: Thanos, Mimir, VictoriaMetrics.

    Args:
        start_s: the beginning of what is asked about, Unix seconds.
        end_s: its end.
    """

    def __init__(self, http: Http, start_s: float, end_s: float) -> None:
        self.http, self.start_s, self.end_s = http, start_s, end_s
        self.warnings: dict[str, None] = {}

    async def metric_names(self) -> list[str]:
        """The metrics with values in this time."""
        return await self._data(_NAMES, "/api/v1/label/__name__/values", self._times())

    async def label_names(self, *selectors: str) -> frozenset[str]:
        """The labels of series that match any of these selectors in this time."""
        asked: dict[str, str | list[str]] = {**self._times(), "match[]": list(selectors)}
        # VictoriaMetrics says "__name__" even where there are no series.
        names = await self._data(_NAMES, "/api/v1/labels", asked)
        return frozenset(names) - {"__name__"}

    async def scrape_interval_s(self, selector: str) -> float | None:
        """The time between two samples of a selector's series; None if it has too few."""
        found = await self.instant(f"topk(1, count_over_time({selector}[5m]))")
        if not found:
            return None
        labels = [f"{name}={quoted(value)}" for name, value in found[0][0].items() if name != "__name__"]
        series = f"{selector[:-1]}{''.join(',' + label for label in labels)}}}[5m]"
        form = {"query": series, "time": f"{self.end_s:.3f}"}
        answer = await self._data(_SAMPLES, "/api/v1/query", form)
        times = [time_s for one in answer[:1] for time_s, _ in one["values"]]
        return float(np.median(np.diff(times))) if len(times) > 1 else None

    async def instant(self, query: str) -> list[tuple[dict[str, str], float]]:
        """The result of a query at the end of this time."""
        form = {"query": query, "time": f"{self.end_s:.3f}", "timeout": f"{self.http.timeout_s:g}s"}
        answer = await self._data(_VECTOR, "/api/v1/query", form)
        return [(row["metric"], row["value"][1]) for row in answer]

    async def range(self, query: str, grid: Grid) -> Rows:
        """The result of a query at each point of a grid; values that are not finite are missing."""
        form: dict[str, str | list[str]] = {
            "query": query, "start": f"{grid.start_s:.3f}", "end": f"{grid.end_s:.3f}",
            "step": f"{grid.step_s:.3f}", "timeout": f"{self.http.timeout_s:g}s",
        }  # fmt: skip
        body, numbers = _numbers_apart(await self.http.post("/api/v1/query_range", form))
        if len(numbers) > _MOST_SERIES:
            raise TelemetryFault(
                f"{self.http.access.name} returned {len(numbers):,} series at once: choose one --namespace"
            )
        series: list[_Series] = self._checked(_MATRIX, self.http.decoded(body))
        return _rows(series, numbers, grid)

    def _times(self) -> dict[str, str]:
        return {"start": f"{self.start_s:.3f}", "end": f"{self.end_s:.3f}"}

    async def _data(self, form: TypeAdapter[T], path: str, asked: Mapping[str, str | list[str]]) -> T:
        label = path.startswith("/api/v1/label/")  # may not be posted
        body = await (self.http.get(path, asked) if label else self.http.post(path, asked))
        return self._checked(form, self.http.decoded(body))

    def _checked(self, form: TypeAdapter[T], answer: Any) -> T:
        try:
            checked = _Answer.model_validate(answer)
            told = checked.data.get("result") if isinstance(checked.data, dict) else checked.data
            data = form.validate_python(told)
        except ValidationError:
            name = self.http.access.name
            raise TelemetryFault(f"{name} answered in another form: is this its address?") from None
        self.warnings.update(dict.fromkeys(checked.warnings))
        return data


class _Answer(BaseModel):
    status: Literal["success"]
    data: Any
    warnings: tuple[str, ...] = ()


class _Instant(TypedDict):
    metric: dict[str, str]
    value: tuple[float, float]


class _Samples(TypedDict):
    metric: dict[str, str]
    values: list[tuple[float, float]]


class _Series(TypedDict):
    metric: dict[str, str]
    values: int | list[tuple[float, str]]  # or the number of the list, see `_numbers_apart`


_NAMES, _VECTOR = TypeAdapter(list[str]), TypeAdapter(list[_Instant])
_SAMPLES, _MATRIX = TypeAdapter(list[_Samples]), TypeAdapter(list[_Series])


def quoted(text: str) -> str:
    """A string literal in PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _numbers_apart(body: bytes) -> tuple[bytes, list[bytes]]:
    """Takes the lists of values, which may be millions, out of an answer; their numbers stand in for them.

    No string in JSON can contain the marks: its quotes would be escaped.
    """
    rest, numbers, done = [], list[bytes](), 0
    while (start := body.find(_VALUES, done)) >= 0 and (end := body.find(b"]]", start)) >= 0:
        rest.append(body[done : start + len(_VALUES) - 2])
        rest.append(str(len(numbers)).encode())
        numbers.append(body[start + len(_VALUES) : end])
        done = end + 2
    return b"".join([*rest, body[done:]]), numbers


def _joined(values: Sequence[tuple[float, str]]) -> bytes:
    """Values of an answer with blanks, in the form of `_numbers_apart`."""
    return ",".join(f"{time_s},{value}" for time_s, value in values).encode()


def _rows(result: Sequence[_Series], numbers: Sequence[bytes], grid: Grid) -> Rows:
    """Reads many short series at once."""
    kept = [series["values"] for series in result]
    if not all(isinstance(one, list) or 0 <= one < len(numbers) for one in kept):
        raise TelemetryFault(_NO_NUMBERS)
    texts = [numbers[one] if isinstance(one, int) else _joined(one) for one in kept]
    points = len(grid.times_s)
    values = np.full((len(texts), points), np.nan)
    for first in range(0, len(texts), _BATCH):
        batch = texts[first : first + _BATCH]
        flat = _numbers(b",".join(filter(None, batch)))
        column = np.rint((flat[::2] - grid.start_s) / grid.step_s).astype(np.int64)
        each = len(column) // len(batch)
        if len(column) == each * len(batch) and _are_alike(column, each):
            usable = (column[:each] >= 0) & (column[:each] < points)
            alike = flat[1::2].reshape(len(batch), each)
            values[first : first + len(batch), column[:each][usable]] = alike[:, usable]
            continue
        counts = [(text.count(b",") + 1) // 2 if text else 0 for text in batch]
        if sum(counts) != len(column):
            raise TelemetryFault(_NO_NUMBERS)
        row = np.repeat(np.arange(first, first + len(batch)), counts)
        usable = (column >= 0) & (column < points)
        values[row[usable], column[usable]] = flat[1::2][usable]
    values[np.isinf(values)] = np.nan
    return Rows([series["metric"] for series in result], values)


def _are_alike(column: Ints, each: int) -> bool:
    """Whether all series, of `each` values, have the same times."""
    rows = column.reshape(-1, each or 1)
    return bool((np.diff(rows[:1]) > 0).all() and (rows == rows[:1]).all())


def _numbers(text: bytes) -> Floats:
    """The alternating times and values in a list of pairs."""
    plain = text.translate(None, b'[]" ')
    if b"I" in plain:
        plain = plain.replace(b"+Inf", b"Infinity").replace(b"-Inf", b"-Infinity")
    if len(plain) > _LARGEST_BATCH:
        raise TelemetryFault("Prometheus sent more values than were asked for")
    try:
        numbers = np.fromiter(from_json(b"[%b]" % plain), dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise TelemetryFault(_NO_NUMBERS) from None
    if len(numbers) % 2:
        raise TelemetryFault(_NO_NUMBERS)
    return numbers
