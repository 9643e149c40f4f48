"""Queries Loki for the log lines of one service, with limits (grafana.com/docs/loki, HTTP API)."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import AliasPath, BaseModel, Field

from data.errors import SchemaError, TelemetryFault
from data.observation import parse
from data.sources import conventions
from data.sources.live.gather import Question
from data.sources.live.http import Http
from data.sources.live.prometheus import quoted
from data.sources.log_lines import TROUBLE, LogLines, telling

M = TypeVar("M", bound=BaseModel)
_LINES = 200
_TRIED = 4  # labels


class _Stream(BaseModel):
    stream: dict[str, str] = {}
    values: tuple[tuple[str, str] | tuple[str, str, Any], ...] = ()


class _Answer(BaseModel):
    result: tuple[_Stream, ...] = Field(validation_alias=AliasPath("data", "result"))


class _Labels(BaseModel):
    data: tuple[str, ...] = ()


class Loki:
    """Implements `LogSource`."""

    def __init__(self, http: Http, question: Question) -> None:
        self._http, self._question = http, question
        self._times = {"start": f"{question.since_s * 1e9:.0f}", "end": f"{question.at_s * 1e9:.0f}"}
        self._labels: list[str] | None = None  # that may name a service
        self._namespace = ""  # the label that names a namespace

    async def lines(self, service: str) -> LogLines:
        """See `LogSource`."""
        if self._labels is None:
            there = set(_parsed(_Labels, await self._ask("/loki/api/v1/labels", {})).data)
            self._labels = [label for label in conventions.SERVICE if label in there][:_TRIED]
            self._namespace = next((label for label in conventions.NAMESPACE if label in there), "")
        for label in self._labels:
            selector = self._selector(label, service)
            for query in (f"{selector} |~ {quoted(f'(?i)({TROUBLE})')}", selector):
                found = await self._lines(query)
                if found:
                    return LogLines(telling(found), query)
        return LogLines((), f"{{service_name={quoted(service)}}}")

    def _selector(self, label: str, service: str) -> str:
        where = {label: service}
        if self._namespace and self._question.namespace:
            where[self._namespace] = self._question.namespace
        return "{" + ", ".join(f"{name}={quoted(value)}" for name, value in where.items()) + "}"

    async def _lines(self, query: str) -> list[str]:
        asked = {"query": query, "limit": str(_LINES), "direction": "backward"}
        streams = _parsed(_Answer, await self._ask("/loki/api/v1/query_range", asked)).result
        entries = sorted((value[0].zfill(20), value[1]) for one in streams for value in one.values)
        return [line for _, line in entries]

    async def _ask(self, path: str, asked: Mapping[str, str]) -> Any:
        return self._http.decoded(await self._http.get(path, {**asked, **self._times}))


def _parsed(model: type[M], answer: Any) -> M:
    try:
        return parse(model, answer, "Loki")
    except SchemaError as error:
        raise TelemetryFault(str(error)) from None
