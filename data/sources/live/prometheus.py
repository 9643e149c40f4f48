"""Prometheus' HTTP API, read only, always between two times: names, labels, instants, series on a grid."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from data.errors import TelemetryFault
from data.files.json_text import NotJson, read_json
from data.incident import Floats
from data.sources.live.http import Http

_VALUES = b'"values":[['
_MOST_POINTS = 11_000  # of one series: Prometheus refuses more
_SCRAPES = 4  # that a rate is taken over, at least
_BATCH = 1000  # series whose values are read at once


@dataclass(frozen=True)
class Grid:
    """The points in time that everything is asked at, and how far back each looks."""

    start_s: float
    end_s: float
    step_s: float
    rate_s: float

    @property
    def times_s(self) -> Floats:
        """(T,) Unix seconds."""
        points = int((self.end_s - self.start_s) / self.step_s + 1e-6) + 1
        return np.asarray(self.start_s + self.step_s * np.arange(points), dtype=float)

    @staticmethod
    def between(start_s: float, end_s: float, scrape_s: float, points: int) -> "Grid":
        """A grid of at most about `points` points, no finer than the scrapes, that ends at `end_s`."""
        span = end_s - start_s
        step = max(scrape_s * np.ceil(span / points / scrape_s), span / _MOST_POINTS)
        n = int(span / step)
        return Grid(end_s - n * step, end_s, float(step), float(max(_SCRAPES * scrape_s, step)))


class Rows(NamedTuple):
    """The series of an answer."""

    labels: Sequence[Mapping[str, str]]  # (N,)
    values: Floats  # (N, T) on the grid, NaN where there is none


class Prometheus:
    """Asks one Prometheus, or whatever speaks its language: Thanos, Mimir, VictoriaMetrics.

    Args:
        http: how it is reached.
        start_s: the beginning of what is asked about, Unix seconds.
        end_s: its end.
    """

    def __init__(self, http: Http, start_s: float, end_s: float) -> None:
        self.http, self.start_s, self.end_s = http, start_s, end_s
        self.warnings: dict[str, None] = {}

    async def metric_names(self) -> list[str]:
        """What was measured in this time."""
        found = await self._data("/api/v1/label/__name__/values", self._times())
        with self._understanding():
            return [str(name) for name in found]

    async def label_names(self, *selectors: str) -> frozenset[str]:
        """The labels that series of any of these selectors had in this time."""
        asked: dict[str, str | list[str]] = {**self._times(), "match[]": list(selectors)}
        # VictoriaMetrics says "__name__" even where there are no series.
        found = await self._data("/api/v1/labels", asked)
        with self._understanding():
            return frozenset(map(str, found)) - {"__name__"}

    async def scrape_interval_s(self, selector: str) -> float | None:
        """The time between two samples of one series of a selector; None where it has too few."""
        found = await self.instant(f"topk(1, count_over_time({selector}[5m]))")
        if not found:
            return None
        labels = [f"{name}={quoted(value)}" for name, value in found[0][0].items() if name != "__name__"]
        series = f"{selector[:-1]}{''.join(',' + label for label in labels)}}}[5m]"
        answer = await self._data("/api/v1/query", {"query": series, "time": f"{self.end_s:.3f}"})
        with self._understanding():
            times = [float(point[0]) for series in answer.get("result", ())[:1] for point in series["values"]]
        return float(np.median(np.diff(times))) if len(times) > 1 else None

    async def instant(self, query: str) -> list[tuple[dict[str, str], float]]:
        """What a query gives at the end of this time."""
        answer = await self._data(
            "/api/v1/query",
            {"query": query, "time": f"{self.end_s:.3f}", "timeout": f"{self.http.timeout_s:g}s"},
        )
        with self._understanding():
            return [(_labels(row), float(row["value"][1])) for row in answer["result"]]

    async def range(self, query: str, grid: Grid) -> Rows:
        """What a query gives at each point of a grid; what is not finite is missing."""
        form: dict[str, str | list[str]] = {
            "query": query, "start": f"{grid.start_s:.3f}", "end": f"{grid.end_s:.3f}",
            "step": f"{grid.step_s:.3f}", "timeout": f"{self.http.timeout_s:g}s",
        }  # fmt: skip
        body, numbers = _numbers_apart(await self.http.post("/api/v1/query_range", form))
        answer = self._checked(self.http.decoded(body))
        with self._understanding():
            return _rows(answer["result"], numbers, grid)

    def _times(self) -> dict[str, str]:
        return {"start": f"{self.start_s:.3f}", "end": f"{self.end_s:.3f}"}

    async def _data(self, path: str, form: Mapping[str, str | list[str]]) -> Any:
        label = path.startswith("/api/v1/label/")  # may not be posted
        body = await (self.http.get(path, form) if label else self.http.post(path, form))
        return self._checked(self.http.decoded(body))

    def _checked(self, answer: Any) -> Any:
        if not isinstance(answer, dict) or answer.get("status") != "success" or "data" not in answer:
            raise self._not_understood()
        with self._understanding():
            for warning in answer.get("warnings", ()):
                self.warnings.setdefault(str(warning))
        return answer["data"]

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        """Within it, what an answer lacks is a fault of its source."""
        try:
            yield
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
            raise self._not_understood() from None

    def _not_understood(self) -> TelemetryFault:
        name = self.http.access.name
        return TelemetryFault(f"{name} gave an answer that is not Prometheus': is this its address?")


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row["metric"].items()}


def quoted(text: str) -> str:
    """A text as PromQL writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _numbers_apart(body: bytes) -> tuple[bytes, list[bytes]]:
    """An answer with each list of values replaced by its place among them; there may be millions of values.

    No text in JSON holds these marks: a quote in it would be escaped.
    """
    rest, numbers, done = [], list[bytes](), 0
    while (start := body.find(_VALUES, done)) >= 0 and (end := body.find(b"]]", start)) >= 0:
        rest.append(body[done : start + len(_VALUES) - 2])
        rest.append(str(len(numbers)).encode())
        numbers.append(body[start + len(_VALUES) : end])
        done = end + 2
    return b"".join([*rest, body[done:]]), numbers


def _joined(values: Sequence[tuple[float, str]]) -> bytes:
    """Values of an answer that is written with blanks, as `_numbers_apart` has them."""
    return ",".join(f"{time_s},{value}" for time_s, value in values).encode()


def _rows(result: Sequence[Mapping[str, Any]], numbers: Sequence[bytes], grid: Grid) -> Rows:
    """Many series at once: each is short, and all of them are many."""
    texts = [
        numbers[found] if isinstance(found := series["values"], int) else _joined(found) for series in result
    ]
    points = len(grid.times_s)
    values = np.full((len(texts), points), np.nan)
    for first in range(0, len(texts), _BATCH):
        batch = texts[first : first + _BATCH]
        flat = _numbers(b",".join(filter(None, batch)))
        counts = np.array([(text.count(b",") + 1) // 2 if text else 0 for text in batch], dtype=np.int64)
        column = np.rint((flat[::2] - grid.start_s) / grid.step_s).astype(np.int64)
        row = np.repeat(np.arange(first, first + len(batch)), counts)
        inside = (column >= 0) & (column < points) & np.isfinite(flat[1::2])
        values[row[inside], column[inside]] = flat[1::2][inside]
    return Rows([_labels(series) for series in result], values)


def _numbers(text: bytes) -> Floats:
    """Times and values in turn, from the inside of a list of pairs."""
    plain = text.translate(None, b'[]" ').replace(b"+Inf", b"Infinity").replace(b"-Inf", b"-Infinity")
    try:
        return np.fromiter(read_json(b"[%b]" % plain), dtype=float)
    except (NotJson, TypeError, ValueError, OverflowError):
        raise TelemetryFault("Prometheus sent values that are not numbers") from None
