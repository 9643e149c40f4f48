"""Scrapes of a service's `/metrics`, as Prometheus text or OpenMetrics; several make a series."""

import io
import re
from collections.abc import Iterator
from typing import Any

from data.errors import SchemaError
from data.sources.conventions import SERVICE
from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered

_START, _APART_S = 1.7e9, 15.0  # for scrapes without times
_COMMENT = re.compile(r"^# (HELP|TYPE|UNIT|EOF)\b", re.MULTILINE)
_LINE = re.compile(r"[a-zA-Z_:][\w:]*(\{.*\})?\s+[-+]?(\d[\d.eE+-]*|NaN|Inf)(\s+-?[\d.]+)?\s*")
_COUNTED = re.compile(r"[-_.]?\d+$")


class Scrape:
    """One scrape; without times in it, its position among the service's scrapes counts."""

    name = "a scrape of /metrics"

    def recognises(self, head: Head) -> bool:
        if head.paths or not head.raw.strip():
            return False
        lines = head.text.lstrip().splitlines()[:1]
        return bool(_COMMENT.search(head.text[:4096])) or bool(lines and _LINE.fullmatch(lines[0]))

    def read(self, file: File, into: Gathered) -> None:
        told = file.path.name.partition(".")[0]
        service = _COUNTED.sub("", told) or told
        scrapes = into.scrapes.setdefault(service, 0)
        into.scrapes[service] += 1
        names_itself = False
        for sample in _samples(file):
            labels = dict(sample.labels)
            if not any(label in labels for label in SERVICE) and sample.name not in ("ALERTS",):
                labels["job"] = service
            else:
                names_itself = True
            time = _START + scrapes * _APART_S if sample.timestamp is None else _float(sample.timestamp)
            into.samples.add(sample.name, labels, [time], [_float(sample.value)])
        if not names_itself:
            into.recording.note(f"{file.where}: no metric names a service, so all count for '{service}'")


def _float(number: Any) -> float:
    """A number as a float; NaN if it is too large."""
    try:
        return float(number)
    except OverflowError:
        return float("nan")


def _samples(file: File) -> Iterator[Any]:
    from prometheus_client import parser
    from prometheus_client.openmetrics import parser as openmetrics_parser

    text = file.read().decode("utf-8-sig", "replace").replace("\r\n", "\n")
    is_open = text.rstrip().endswith("# EOF")
    parse = openmetrics_parser.text_fd_to_metric_families if is_open else parser.text_fd_to_metric_families
    try:
        for family in parse(io.StringIO(text)):
            yield from family.samples
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise SchemaError(file.where, "", str(error)[:80], "not a whole scrape: get it again") from None
