r"""Firewatch in Python: `read`, `rank` and `explain`, whose results are shown as tables in a notebook.

>>> from agent import explain, rank, read
>>> [incident] = read("incident.json")
>>> found = rank(incident)
>>> print(found)
4 services, 3 calls.
Incident likely (... %).
Suspects by 'gnn':
  1. db  ... %
       - latency_p99_s rose from 50 ms to 1.2 s, since point 1 of 2
...
>>> print(explain(found, "cache"))
cache: called by api; calls nobody.
  - its only caller is degraded too: api
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from agent.report.diagnosis import diagnosis
from agent.report.document import Report, Section, Table, number, text
from agent.report.ranking_report import diagnosis_record, ranking_report
from agent.terminal_text import printable
from data.channels import ChannelMap
from data.errors import SettingsError
from data.incident import Incident
from data.sources.files.reading import read_evidence
from data.words import count
from gnn.explain.sentences import explain as evidence_of
from gnn.options import Weights
from gnn.ranker import Evidence, Ranking

_SUSPECTS = 5  # shown
_log = logging.getLogger(__name__)


class _Shown(ABC):
    """Is shown as a report in a notebook."""

    @abstractmethod
    def report(self) -> Report:
        """The report."""

    def _repr_html_(self) -> str:
        from agent.report.html import render_fragment

        return render_fragment(self.report())


class Incidents(tuple[Incident, ...], _Shown):
    """The incidents from `read`."""

    def __repr__(self) -> str:
        return f"Incidents({', '.join(one.incident_id for one in self)})"

    def report(self) -> Report:
        """A table with one line per incident."""
        headings = ("incident", "services", "calls", "alerts")
        rows = []
        for one in self:
            counts = len(one.services), sum(map(len, one.call_graph.values())), len(one.alerts)
            rows.append((text(one.incident_id), *(number(figure, 0) for figure in counts)))
        table = Table(tuple((heading, "") for heading in headings), tuple(rows))
        lead = count(len(self), "incident")
        return Report("Incidents", "Incidents", lead, sections=(Section("Read", table=table),))


@dataclass(frozen=True, repr=False)
class Ranked(_Shown):
    """The result of `rank`: suspects, best first, with evidence."""

    incident: Incident
    ranking: Ranking
    channels: ChannelMap

    def __str__(self) -> str:
        return diagnosis(self.incident, self.ranking, _SUSPECTS).rstrip()

    def record(self) -> dict[str, Any]:
        """The output of `firewatch rank --json`."""
        return diagnosis_record(self.incident, self.ranking)

    def report(self) -> Report:
        """The report of `firewatch report`."""
        return ranking_report(self.record())


@dataclass(frozen=True, repr=False)
class Explanation(_Shown):
    """The evidence about one service, and its neighbours."""

    service: str
    callers: Sequence[str]
    callees: Sequence[str]
    evidence: Sequence[Evidence]

    def __str__(self) -> str:
        lead, *lines = map(printable, (self.report().lead, *self.report().sections[0].text))
        return "\n".join((lead, *(f"  - {line}" for line in lines)))

    def report(self) -> Report:
        """The neighbours, then the evidence."""
        callers, callees = (", ".join(names) or "nobody" for names in (self.callers, self.callees))
        lines = tuple(one.text for one in self.evidence) or ("Nothing deviates here.",)
        lead = f"{self.service}: called by {callers}; calls {callees}."
        return Report(self.service, "Service", lead, sections=(Section("Evidence", lines),))


def read(*paths: str | PathLike[str], at: float | None = None) -> Incidents:
    """Reads incidents from files in any form that `firewatch import` knows; telemetry files are one incident.

    Args:
        at: when that incident began, in Unix seconds; None to detect it.

    Raises:
        SchemaError: a file is damaged or has an unknown form.
    """
    found = read_evidence([Path(path) for path in paths], at)
    for told in found.notes:
        _log.warning("%s", told)
    return Incidents(found.incidents)


def rank(
    incident: Incident,
    ranker: str = "gnn",
    *,
    checkpoint: str | PathLike[str] | None = None,
    rules: str | PathLike[str] | None = None,
    seed: int = 0,
) -> Ranked:
    """Ranks the services by how likely each is the root cause; see `firewatch rank --help` for the options.

    Raises:
        FirewatchError: an option cannot be used.
    """
    weights = Weights.model_validate({"checkpoint": checkpoint, "rules": rules})
    opened, channels = weights.open_ranker(ranker, seed)
    return Ranked(incident, opened.rank(incident), channels)


def explain(found: Ranked, service: str | None = None) -> Explanation:
    """The evidence about one service (the first suspect by default), with its callers and callees.

    Raises:
        SettingsError: there is no such service.
    """
    incident = found.incident
    name = service or next(iter((*found.ranking.services, *incident.services)), "")
    if name not in incident.services:
        raise SettingsError(f"there is no service '{name}' – there are {', '.join(incident.services[:10])}")
    callers = [caller for caller, callees in incident.call_graph.items() if name in callees]
    evidence = evidence_of(incident, [name], found.channels)[name]
    return Explanation(name, callers, incident.call_graph.get(name, ()), evidence)
