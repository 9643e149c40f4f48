"""Tables with a column per metric, a row per value or a row per call: CSV in any dialect, or Parquet."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from data.arrays import Floats
from data.channels import channel_of
from data.errors import SchemaError
from data.extras import needs
from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered
from data.sources.recording import NOBODY, Recording
from data.sources.times import seconds

if TYPE_CHECKING:
    import pandas as pd

# Of several, the first counts.
_TIME = ("time", "timestamp", "datetime", "date", "ts", "_time", "time_s")
_SERVICE = (
    "service", "service_name", "cmdb_id", "entity", "component", "app", "workload", "pod", "host", "node",
)  # fmt: skip
_METRIC = ("metric", "metric_name", "kpi_name", "kpi", "name", "_field")
_VALUE = ("value", "_value", "val")
_CALLS = (
    {"caller", "source", "parent", "from", "src", "client", "upstream"},
    {"callee", "target", "child", "to", "dst", "destination", "server", "downstream"},
)
COLUMNS = "time,service,metric,value or time,service,<metric>,… or time,<service>_<metric>,… or caller,callee"
_ROWS = 50_000  # read at once
_MOST_COLUMNS = 100_000


class CsvTable:
    """A table with commas, tabs or semicolons."""

    name = f"a table ({COLUMNS})"

    def recognises(self, head: Head) -> bool:
        return _calls(head.columns) is not None or bool(_column(head.columns, _TIME))

    def read(self, file: File, into: Gathered) -> None:
        fix = "give a table whose rows have as many cells as its head"
        frames = csv_frames(
            file, fix, sep=file.head.delimiter, chunksize=_ROWS, nrows=into.limit, skipinitialspace=True,
            encoding="utf-8-sig",
        )  # fmt: skip
        for frame in frames:
            frame.columns = [str(name).strip() for name in frame.columns]
            _add_table(frame, into.recording, file.where)


class Parquet:
    """A table in Parquet."""

    name = "a table in Parquet"

    def recognises(self, head: Head) -> bool:
        return head.raw.startswith(b"PAR1")

    def read(self, file: File, into: Gathered) -> None:
        _add_table(read_parquet(file, into.limit), into.recording, file.where)


def _add_table(frame: "pd.DataFrame", recording: Recording, where: str) -> None:
    """Adds a table of any form, which its columns tell."""
    columns = tuple(map(str, frame.columns))
    if (pair := _calls(columns)) is not None:
        add_calls(frame[pair[0]], frame[pair[1]], recording)
    elif not _column(columns, _TIME):
        raise SchemaError(where, "", columns, f"name the columns {COLUMNS}")
    elif _column(columns, _SERVICE):
        add_long(frame, recording, where)
    else:
        add_wide(frame, recording, where)


def csv_frames(file: File, fix: str = "give a table", **how: Any) -> Iterator["pd.DataFrame"]:
    """The rows of a CSV file, in pieces if `chunksize` says so.

    Raises:
        SchemaError: it is no table.
    """
    import pandas as pd

    try:
        with file.open() as stream:
            read = pd.read_csv(stream, encoding_errors="replace", low_memory=False, **how)
            yield from [read] if isinstance(read, pd.DataFrame) else read
    except (ValueError, OverflowError) as error:  # of which pandas' own errors are kinds
        raise SchemaError(file.where, "", " ".join(str(error).split())[:80], fix) from None


def read_parquet(file: File, limit: int | None = None) -> "pd.DataFrame":
    """A whole Parquet file.

    Raises:
        SettingsError: the extra is not installed.
        SchemaError: it is damaged.
    """
    with needs("parquet"):
        import pyarrow
        from pyarrow import parquet
    try:
        table = parquet.read_table(io.BytesIO(file.read()))
    except (pyarrow.ArrowException, OSError) as error:
        raise SchemaError(file.where, "", str(error)[:60], "give a whole Parquet file") from None
    return (table if limit is None else table.slice(0, limit)).to_pandas()


def add_calls(callers: "pd.Series[Any]", callees: "pd.Series[Any]", recording: Recording) -> None:
    """Adds a call per row."""
    for one, other in zip(callers.tolist(), callees.tolist(), strict=True):
        caller, callee = (str(name).strip() if name == name else "" for name in (one, other))
        if caller != callee and not {caller, callee} & NOBODY:
            recording.call(caller, callee)


def add_long(frame: "pd.DataFrame", recording: Recording, where: str) -> None:
    """Adds rows that name a service: with a metric and its value, else with a metric per column."""
    names = tuple(map(str, frame.columns))
    time, service, metric, value = (_column(names, known) for known in (_TIME, _SERVICE, _METRIC, _VALUE))
    times = times_of(frame[time], where)
    if metric and value:
        values = numbers_of(frame[value])
        for (one, what), index in frame.groupby([service, metric], sort=False).indices.items():
            recording.series(str(one), str(what), times[index], values[index])
        return
    rows = frame.groupby(service, sort=False).indices
    for name in names:
        values = numbers_of(frame[name])
        if name not in (time, service) and np.isfinite(values).any():
            for one, index in rows.items():
                recording.series(str(one), name, times[index], values[index])


def add_wide(frame: "pd.DataFrame", recording: Recording, where: str) -> None:
    """Adds a metric of a service per column."""
    names = tuple(map(str, frame.columns))
    if len(names) > _MOST_COLUMNS:
        raise SchemaError(where, "", f"{len(names)} columns", "give a long table: time,service,metric,value")
    time = _column(names, _TIME)
    times = times_of(frame[time], where)
    alone = []
    for name in names:
        if name == time or re.fullmatch(r"time\.\d+", name):  # pandas' name for a duplicate column
            continue
        service, metric = split_column(name)
        if not metric:
            alone.append(name)
            continue
        values = numbers_of(frame[name])
        if np.isfinite(values).any():
            recording.series(service, metric, times, values)
    if alone:
        recording.note(
            f"{where}: columns without a service before a '_' are left out: {', '.join(alone[:3])}"
            f"{f' and {len(alone) - 3} more' if len(alone) > 3 else ''}"
        )


def split_column(name: str) -> tuple[str, str]:
    """Splits `<service>_<metric>`, if possible where the rest is a known metric."""
    for separator in ("_", "/", ":", "."):
        places = [match.start() for match in re.finditer(re.escape(separator), name)]
        for place in places[:4]:
            if place and channel_of(name[place + 1 :]) is not None:
                return name[:place], name[place + 1 :]
        if places and places[0]:
            return name[: places[0]], name[places[0] + 1 :]
    return name, ""


def times_of(column: "pd.Series[Any]", where: str) -> Floats:
    """Unix seconds of a column of numbers in any unit, or of dates."""
    raw = column.to_numpy()
    if np.issubdtype(raw.dtype, np.datetime64):
        return np.asarray(raw.astype("datetime64[ns]").astype(np.int64) / 1e9)
    if np.issubdtype(raw.dtype, np.number):
        first = next((float(v) for v in raw.tolist() if v == v), 0.0)
        factor = (seconds(first) or first) / first if first else 1.0
        return np.asarray(raw, dtype=float) * factor
    found = [seconds(value.strip() if isinstance(value, str) else value) for value in raw.tolist()]
    if all(time is None for time in found):
        raise SchemaError(where, str(column.name), raw[0] if len(raw) else "", "give Unix times or ISO dates")
    return np.array([np.nan if time is None else time for time in found])


def numbers_of(column: "pd.Series[Any]") -> Floats:
    """A column as numbers; other values are missing."""
    import pandas as pd

    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(), dtype=float)


def _column(columns: Iterable[str], known: Sequence[str]) -> str:
    found = {name.lower(): name for name in columns}
    return next((found[name] for name in known if name in found), "")


def _calls(columns: Sequence[str]) -> tuple[str, str] | None:
    if len(columns) != 2:
        return None
    caller, callee = columns
    is_told = caller.lower() in _CALLS[0] and callee.lower() in _CALLS[1]
    return (caller, callee) if is_told else None
