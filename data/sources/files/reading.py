"""Reads files of any known format: several telemetry files make one incident; others hold whole ones."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from data.errors import SchemaError
from data.files import jsonl
from data.incident import Incident
from data.sources.files.exposition import Scrape
from data.sources.files.json_logs import JsonLogs
from data.sources.files.kubernetes import KialiGraph, KubernetesObjects
from data.sources.files.opened import File
from data.sources.files.openrca import OpenRca
from data.sources.files.otlp import OtlpLogs, OtlpMetrics
from data.sources.files.otlp_traces import OtlpTraces, TempoSearch
from data.sources.files.own_files import OwnFiles
from data.sources.files.prometheus import AlertList, PrometheusAnswer
from data.sources.files.rcaeval import RcaEval
from data.sources.files.reader import Gathered, Reader
from data.sources.files.tables import COLUMNS, CsvTable, Parquet
from data.sources.files.traces import JaegerDependencies, JaegerTraces, ZipkinTraces
from data.sources.recording import incident_of

# All formats; the first one that recognises a file reads it.
FORMATS: tuple[Reader, ...] = (
    OwnFiles(),
    PrometheusAnswer(),
    AlertList(),
    JaegerTraces(),
    JaegerDependencies(),
    ZipkinTraces(),
    OtlpTraces(),
    TempoSearch(),
    OtlpMetrics(),
    OtlpLogs(),
    KubernetesObjects(),
    KialiGraph(),
    JsonLogs(),
    Parquet(),
    Scrape(),
    CsvTable(),
)
# Folders of incidents with root causes, recognised by their layout.
DATASETS = (RcaEval(), OpenRca())

_log = logging.getLogger(__name__)

_EVERY_FILE = 10_000  # of a folder


class Found(NamedTuple):
    """The incidents in files, and notes for the user."""

    incidents: tuple[Incident, ...]
    notes: tuple[str, ...]


def read_evidence(
    paths: Sequence[Path],
    at: float | None = None,
    limit: int | None = None,
    stdin: bytes | None = None,
    on_bytes: Callable[[int], object] | None = None,
    incident_id: str = "",
) -> Found:
    """Reads all `paths`; files that are not incidents become one together.

    Args:
        paths: files and folders; "-" stands for `stdin`.
        at: when that incident began, Unix seconds. None: detected.
        limit: most traces, rows or incidents to read from each file.
        stdin: the bytes from there.
        on_bytes: called with the size of each piece read.
        incident_id: of that incident. "": the name of its first file.

    Raises:
        SchemaError: a file is damaged, or of no known form.
        SettingsError: everything was recorded before `at`.
    """
    gathered = Gathered(limit)
    evidence: list[File] = []
    for path in paths:
        dataset = next((one for one in DATASETS if path.is_dir() and one.recognises(path)), None)
        if dataset is not None:
            dataset.read(path, gathered, at)
            continue
        for file in _files(path, stdin, on_bytes):
            reader = reader_of(file)
            known = len(gathered.incidents)
            reader.read(file, gathered)
            gathered.next_file()
            if len(gathered.incidents) == known:
                evidence.append(file)
    if not evidence:
        if at is not None:
            gathered.recording.note("--at has no effect: the beginnings of saved incidents are known.")
        return Found(tuple(gathered.incidents), gathered.notes)
    recording = gathered.finish()
    if not recording.names and not recording.alerts and recording.first_page is None:
        where, notes = ", ".join(file.where for file in evidence[:3]), " ".join(recording.notes)
        fix = "give files with services in them: their values, calls or alerts"
        raise SchemaError(where, "", "no service", f"{fix}. {notes}".rstrip(". "))
    incident = incident_of(recording, at, incident_id=incident_id or _stem(evidence[0].path))
    return Found((*gathered.incidents, incident), tuple(recording.notes))


def read_incidents(path: Path) -> tuple[Incident, ...]:
    """The incidents in a file or folder of any known format; notes are logged.

    Raises:
        SchemaError: names file, line and field.
    """
    found = read_evidence([path])
    for text in found.notes:
        _log.warning("%s", text)
    return found.incidents


def parts_of(path: Path) -> tuple[Path, ...]:
    """The files of incidents in a folder; for any other path, the path itself.

    Raises:
        SchemaError: there is no such file or folder.
    """
    if not path.exists():
        raise SchemaError(str(path), "", "no such file or folder", "give a file or folder of incidents")
    inside = path.iterdir() if path.is_dir() else ()
    return tuple(sorted(file for file in inside if file.name.endswith(jsonl.SUFFIXES))) or (path,)


def reader_of(file: File) -> Reader:
    """The reader for `file`.

    Raises:
        SchemaError: there is none.
    """
    found = next((reader for reader in FORMATS if reader.recognises(file.head)), None)
    if found is None:
        raise SchemaError(file.where, "", file.head.text[:40] or "nothing", _guess(file))
    return found


def _files(path: Path, stdin: bytes | None, on_bytes: Callable[[int], object] | None) -> list[File]:
    if str(path) == "-":
        return [File(path, stdin or b"", on_bytes)]
    if not path.is_dir():
        return [File(path, None, on_bytes)]
    inside = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not inside:
        raise SchemaError(str(path), "", "an empty folder", "give files, or a folder with some")
    if len(inside) > _EVERY_FILE:
        raise SchemaError(str(path), "", f"{len(inside)} files", "give the files of one incident")
    own = [file for file in inside if file.name.endswith((*jsonl.SUFFIXES, ".json"))]
    return [File(file, None, on_bytes) for file in own or inside]


def _stem(path: Path) -> str:
    return "stdin" if str(path) == "-" else path.name.partition(".")[0]


_DRAWING = "this is a drawing: give the calls as CSV with the columns caller,callee"
_PAGE = "this is a web page: ask the API, such as /api/v1/query_range, not the user interface"
# The first bytes of other common files, and what to do with them.
_KNOWN = (
    ((b"%pdf",), "this is a PDF: give telemetry, such as a Prometheus answer or Jaeger traces"),
    ((b"pk\x03\x04",), "this is a zip archive: unpack it and give the folder"),
    ((b"\x00\x01\x00",), "this is binary: export it as JSON or CSV"),
    ((b"digraph", b"graph", b"flowchart"), _DRAWING),
    ((b"<!doctype", b"<html"), _PAGE),
)


def _guess(file: File) -> str:
    """Says what a file seems to be, and what would help."""
    raw = file.head.raw.lstrip()
    known = next((text for starts, text in _KNOWN if raw[:16].lower().startswith(starts)), None)
    if known:
        return known
    if not raw:
        return "the file is empty"
    if file.head.has("errorType") or file.head.has("status", "error"):
        return "this is an error message from a server: ask again"
    if raw[:1] in (b"[", b"{") and not file.head.paths:
        return "JSON without any field at its start, or nested too deeply"
    if file.head.paths:
        fields = {path.removeprefix("[].") for path in file.head.paths}
        keys = ", ".join(sorted(path for path in fields if "." not in path)[:6])
        return f"JSON of an unknown form, with the fields {keys}; known forms: {_names()}"
    if file.head.columns:
        return f"a table with the columns {', '.join(file.head.columns[:6])}; name them {COLUMNS}"
    return f"an unknown form; known forms: {_names()}"


def _names() -> str:
    return ", ".join(dict.fromkeys(reader.name for reader in FORMATS))
