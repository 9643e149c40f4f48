"""OpenRCA's layout: `record.csv` says what failed when; the days in `telemetry/YYYY_MM_DD` are in UTC+8."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import SchemaError
from data.sources.files.opened import File
from data.sources.files.reader import Gathered
from data.sources.files.span_tables import add_log_lines, add_spans
from data.sources.files.tables import add_long, csv_frames, numbers_of, times_of
from data.sources.joining import join
from data.sources.recording import Recording, incident_of
from data.sources.spans import Spans
from data.sources.times import seconds

if TYPE_CHECKING:
    import pandas as pd

_EPOCH = datetime(1970, 1, 1, 8)  # of days in UTC+8
_BEFORE_S, _AFTER_S = 3600.0, 900.0
_PER_SECOND = 1e3  # its durations are milliseconds


class OpenRca:
    """Each row of `record.csv` is an incident, with the telemetry of an hour before and 15 minutes after."""

    name = "OpenRCA's layout"

    def recognises(self, folder: Path) -> bool:
        return (folder / "record.csv").is_file() and (folder / "telemetry").is_dir()

    def read(self, folder: Path, into: Gathered, at: float | None) -> None:
        [records] = csv_frames(File(folder / "record.csv"))
        if not {"timestamp", "component"} <= set(records.columns):
            raise SchemaError(
                str(folder / "record.csv"), "", tuple(records.columns), "give timestamp and component"
            )
        for number, row in enumerate(records.to_dict("records")):
            if into.limit is not None and number >= into.limit:
                break
            when = seconds(row["timestamp"])
            if when is None:
                raise SchemaError(
                    str(folder / "record.csv"), f"{number}.timestamp", row["timestamp"], "give Unix seconds"
                )
            day = folder / "telemetry" / (_EPOCH + timedelta(seconds=when)).strftime("%Y_%m_%d")
            if not day.is_dir():
                into.recording.note(f"{folder}: there is no telemetry of {day.name}")
                continue
            recording, spans = Recording(), Spans()
            for file in sorted(day.rglob("*.csv")):
                [frame] = csv_frames(File(file))
                time = next((c for c in ("timestamp", "startTime", "time") if c in frame), None)
                if time is None:
                    continue
                frame["timestamp"] = times_of(frame[time], str(file))
                frame = frame[
                    (frame["timestamp"] >= when - _BEFORE_S) & (frame["timestamp"] <= when + _AFTER_S)
                ]
                if file.parent.name == "trace":
                    add_spans(frame, spans, _PER_SECOND, str(file))
                elif file.parent.name == "log":
                    add_log_lines(frame, spans, str(file))
                elif file.parent.name == "metric":
                    _add_metrics(frame, recording, str(file))
            join(recording, spans.recording(when), keep_known=True)
            recording.root_causes = (str(row["component"]),)
            recording.fault = str(row.get("reason", ""))
            name = f"{folder.name}/{number + 1}"
            into.incidents.append(incident_of(recording, at=when, incident_id=name, system=folder.name))


def _add_metrics(frame: "pd.DataFrame", recording: Recording, where: str) -> None:
    if {"cmdb_id", "kpi_name", "value"} <= set(frame.columns):
        add_long(frame[["timestamp", "cmdb_id", "kpi_name", "value"]], recording, where)
    elif "tc" in frame:  # metric_app.csv: rr, sr, cnt, mrt of a service
        for service, rows in frame.groupby("tc"):
            for metric in ("rr", "sr", "cnt", "mrt"):
                if metric in rows:
                    times = rows["timestamp"].to_numpy(dtype=float)
                    recording.series(str(service), metric, times, numbers_of(rows[metric]))
