"""Reads tables of spans and log lines, as in public data sets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from data.sources.files.tables import numbers_of, times_of
from data.sources.files.traces import is_failed
from data.sources.spans import Span, Spans

if TYPE_CHECKING:
    import pandas as pd

_TRACE, _SPAN = ("trace_id", "traceID"), ("span_id", "spanID")
_PARENT = ("parent_id", "parent_span", "parentSpanID")
_SERVICE = ("cmdb_id", "serviceName", "container_name", "service")
_STATUS, _NAME = ("status_code", "statusCode"), ("operationName", "methodName")
_START = ("startTime", "timestamp", "time")
_TEXT, _LEVEL = ("message", "value", "log"), ("level", "severity")
# Log lines that tell of an error: by their text, by their level.
BAD_LINE = r"(?i)\b(?:error|fail(?:ed|ure)?|exception|fatal|panic)"
BAD_LEVEL = r"(?i)err|fatal|crit|panic"
_WELL = frozenset({"", "0", "ok", "nan"})


def add_spans(frame: "pd.DataFrame", spans: Spans, per_second: float, where: str) -> None:
    """Adds a span per row; nothing if the columns don't fit.

    Args:
        per_second: units of the durations per second.
    """
    needed = [_column(frame, names) for names in (_TRACE, _SPAN, _SERVICE, _START)]
    if not all(needed) or "duration" not in frame:
        return
    trace, span, service = (frame[name].astype(str).tolist() for name in needed[:3])
    times = times_of(frame[needed[3]], where).tolist()
    durations = (numbers_of(frame["duration"]) / per_second).tolist()
    parent, status, name = (
        frame[column].astype(object).fillna("").astype(str).tolist()
        if (column := _column(frame, names))
        else [""] * len(frame)
        for names in (_PARENT, _STATUS, _NAME)
    )
    for i in range(len(frame)):
        if times[i] == times[i] and durations[i] == durations[i]:
            failed = _is_failed(status[i])
            spans.add(
                Span(trace[i], span[i], parent[i], service[i], name[i], "", times[i], durations[i], failed)
            )


def add_log_lines(frame: "pd.DataFrame", spans: Spans, where: str) -> None:
    """Adds a log line per row; nothing if the columns don't fit."""
    service, start = _column(frame, _SERVICE), _column(frame, ("timestamp", "time"))
    text, level = _column(frame, _TEXT), _column(frame, _LEVEL)
    if not service or not start or not (text or level):
        return
    bad = np.zeros(len(frame), dtype=bool)
    for column, pattern in ((text, BAD_LINE), (level, BAD_LEVEL)):
        if column:
            bad |= frame[column].astype(str).str.contains(pattern, regex=True, na=False).to_numpy(dtype=bool)
    times = times_of(frame[start], where)
    for name, rows in frame.groupby(service, sort=False).indices.items():
        known = rows[np.isfinite(times[rows])]
        spans.logs(str(name), times[known].tolist(), bad[known].tolist())


def _is_failed(status: str) -> bool:
    code = status.removesuffix(".0")
    if code.lower() in _WELL:
        return False
    return not code.isdigit() or is_failed({"http.status_code": code, "rpc.grpc.status_code": code})


def _column(frame: "pd.DataFrame", names: Sequence[str]) -> str:
    return next((name for name in names if name in frame), "")
