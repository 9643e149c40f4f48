"""RCAEval's folders (RE1, RE2, RE3): each case has an `inject_time.txt`, and its folder names the root cause.

Logs and traces of RE2 and RE3 are used besides the metrics: the raw ones or else the series made of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.arrays import Floats
from data.errors import SchemaError
from data.files.json_text import NotJson, read_json
from data.incident import Incident
from data.sources.files.opened import File
from data.sources.files.reader import Gathered
from data.sources.files.span_tables import add_log_lines, add_spans
from data.sources.files.tables import csv_frames, read_parquet, times_of
from data.sources.joining import join
from data.sources.recording import Recording, incident_of
from data.sources.spans import Spans

if TYPE_CHECKING:
    import pandas as pd

INJECTED = "inject_time.txt"
_METRICS = (
    "simple_metrics.csv", "data.csv", "metrics.csv", "metrics.parquet", "metrics.json", "simple_data.csv",
)  # fmt: skip
_ROWS = 100_000  # of logs and traces read at once
_HALF_S = 600.0  # kept before and after the injection
_PER_SECOND = 1e6  # durations of spans are microseconds
# Files of counted lines and spans, with how to combine the columns of one service.
_SERIES = {
    "logts.csv": ("log_count", "sum"), "tracets_err.csv": ("trace_error_count", "sum"),
    "tracets_lat.csv": ("trace_latency", "max"),
}  # fmt: skip


class RcaEval:
    """A case, or a folder of cases at any depth."""

    name = "RCAEval's cases"

    def recognises(self, folder: Path) -> bool:
        return next(cases_in(folder), None) is not None

    def read(self, folder: Path, into: Gathered, at: float | None) -> None:
        for number, case in enumerate(cases_in(folder)):
            if into.limit is not None and number >= into.limit:
                break
            into.incidents.append(read_benchmark_case(case, folder, at))


def cases_in(folder: Path) -> Iterator[Path]:
    """The folders of cases, in order."""
    yield from (
        file.parent for file in sorted(folder.rglob(INJECTED)) if _metrics_of(file.parent) is not None
    )


def read_benchmark_case(case: Path, above: Path, at: float | None = None) -> Incident:
    """One case: 600 s either side of the injection, the columns that its own preparation keeps.

    Raises:
        SchemaError: a file is damaged.
    """
    injected = at if at is not None else _injected(case / INJECTED)
    frame = prepared(metrics_of(case), injected)
    recording = Recording()
    times = frame["time"].to_numpy(dtype=float)
    for column in frame.columns:
        if column != "time":
            service, _, metric = column.partition("_")
            recording.series(service, metric or "value", times, frame[column].to_numpy(dtype=float))
    root, fault = _label(case)
    recording.root_causes, recording.fault = (root,) if root else (), fault
    _add_logs_and_traces(case, recording, injected)
    name = case.relative_to(above).as_posix() if case != above else case.name
    return incident_of(
        recording, injected, _HALF_S, _HALF_S, step_s=_step(times), incident_id=name, system=_system(case)
    )


def _add_logs_and_traces(case: Path, recording: Recording, injected: float) -> None:
    spans = Spans()
    for name, series in (
        ("logs.csv", ("logts.csv",)),
        ("traces.csv", ("tracets_err.csv", "tracets_lat.csv")),
    ):
        where = str(case / name)
        for frame in _frames(case / name):
            column = next((one for one in ("startTime", "timestamp", "time") if one in frame), None)
            if column is None:
                continue
            times = times_of(frame[column], where)
            near = frame[(times >= injected - _HALF_S) & (times <= injected + _HALF_S)]
            if name == "logs.csv":
                add_log_lines(near, spans, where)
            else:
                add_spans(near, spans, _PER_SECOND, where)
        if not (case / name).is_file():
            for one in series:
                _add_series(case / one, recording)
    join(recording, spans.recording(injected), keep_known=True)


def _add_series(path: Path, recording: Recording) -> None:
    metric, how = _SERIES[path.name]
    for frame in _frames(path):
        if "time" in frame:
            times = times_of(frame.pop("time"), str(path))
            values = _numbers(frame).T.groupby(lambda name: name.partition("_")[0]).agg(how).T
            for service in values.columns:
                recording.series(service, metric, times, values[service].to_numpy(dtype=float))


def _frames(path: Path) -> Iterator["pd.DataFrame"]:
    """A table in pieces; none where there is no such file."""
    if path.is_file():
        yield from csv_frames(File(path), chunksize=_ROWS)


def prepared(frame: "pd.DataFrame", injected: float) -> "pd.DataFrame":
    """Prepares a case as RCAEval's `main.py` does: drops ±inf and constant columns, fills forward."""
    import pandas as pd

    frame = frame.loc[:, [c for c in frame.columns if not c.endswith("_latency-50") and c != "time.1"]]
    frame = frame.replace([np.inf, -np.inf], np.nan).ffill().fillna(0)
    before = frame[frame["time"] < injected].tail(int(_HALF_S))
    after = frame[frame["time"] >= injected].head(int(_HALF_S))
    kept = [
        column
        for column in frame.columns
        if column == "time"
        or all(len(half) and (half[column] != half[column].iloc[0]).any() for half in (before, after))
    ]
    whole = pd.concat([before, after])[kept]
    memory = [column for column in kept if column.endswith("_mem")]
    whole[memory] = whole[memory] / 1e6
    return whole


def metrics_of(case: Path) -> "pd.DataFrame":
    """The metrics of a case, a column each, in order of time.

    Raises:
        SchemaError: the file is damaged, or has no `time`.
    """
    path = _metrics_of(case)
    assert path is not None
    file = File(path)
    if path.suffix == ".parquet":
        frame = read_parquet(file)
    elif path.suffix == ".json":
        frame = _of_pairs(file)
    else:
        [frame] = csv_frames(file)
    frame = frame.rename(columns={"Time": "time", "timestamp": "time"})
    if "time" not in frame:
        raise SchemaError(str(path), "", tuple(frame.columns[:5]), "a column 'time' is missing")
    numbers = _numbers(frame)
    return numbers[numbers["time"].notna()].sort_values("time", kind="stable")


def _numbers(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Every cell as a number; others are missing."""
    import pandas as pd

    return frame.apply(pd.to_numeric, errors="coerce")


def _of_pairs(file: File) -> "pd.DataFrame":
    """`{metric: [[s, value], …]}`."""
    import pandas as pd

    try:
        raw = read_json(file.read())
        columns = {
            str(name): pd.Series({float(time): value for time, value in points}, dtype=float)
            for name, points in raw.items()
            if points
        }
    except (NotJson, AttributeError, TypeError, ValueError) as error:
        raise SchemaError(file.where, "", str(error)[:60], "give {metric: [[seconds, value], …]}") from None
    frame = pd.DataFrame(columns).sort_index()
    frame.insert(0, "time", frame.index)
    return frame


def _metrics_of(case: Path) -> Path | None:
    return next((case / name for name in _METRICS if (case / name).is_file()), None)


def _injected(path: Path) -> float:
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    try:
        return float(text)
    except ValueError:
        raise SchemaError(str(path), "", text, "give the Unix time of the injection") from None


def _label(case: Path) -> tuple[str, str]:
    """Root cause and fault, from `<service>_<fault>/<repetition>`."""
    for folder in (case, case.parent):
        service, separator, fault = folder.name.rpartition("_")
        if separator and service:
            return service, fault
    return "", ""


def _system(case: Path) -> str:
    return next((p.name for p in case.parents if p.name.upper().startswith(("RE1", "RE2", "RE3"))), "")


def _step(times: Floats) -> float | None:
    gaps = np.diff(np.unique(times))
    return float(np.median(gaps)) if len(gaps) else None
