"""All formats; the first one that recognises a file reads it."""

from pathlib import Path
from typing import Protocol

from data.sources.files.exposition import Scrape
from data.sources.files.kubernetes import KialiGraph, KubernetesObjects
from data.sources.files.openrca import OpenRca
from data.sources.files.otlp import OtlpLogs, OtlpMetrics
from data.sources.files.otlp_traces import OtlpTraces, TempoSearch
from data.sources.files.own_files import OwnFiles
from data.sources.files.prometheus import AlertList, PrometheusAnswer
from data.sources.files.rcaeval import RcaEval
from data.sources.files.reader import Gathered, Reader
from data.sources.files.tables import CsvTable, Parquet
from data.sources.files.traces import JaegerDependencies, JaegerTraces, ZipkinTraces


class Dataset(Protocol):
    """A folder of incidents with root causes, recognised by its layout."""

    name: str

    def recognises(self, folder: Path) -> bool:
        """Whether `folder` is laid out like this."""

    def read(self, folder: Path, into: Gathered, at: float | None) -> None:
        """Adds all of its incidents."""


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
    Parquet(),
    Scrape(),
    CsvTable(),
)
DATASETS: tuple[Dataset, ...] = (RcaEval(), OpenRca())
