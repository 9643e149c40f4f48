"""`firewatch rank`: telemetry in, ranked suspects with probability and evidence out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.command import command
from agent.cli.console import is_stdout, write_json
from agent.cli.naming import tell_unmapped, unmapped_in
from agent.cli.sources import read_files
from agent.records.trajectory import ranking_record
from agent.terminal_text import printable
from data.channels import ChannelMap
from data.errors import SchemaError
from data.incident import Incident
from data.options import Common, option
from gnn.options import Weights
from gnn.registry import RANKERS

if TYPE_CHECKING:
    from gnn.ranker import Ranker


class RankOptions(Common, Weights):
    """What is ranked, and what is said of it."""

    files: tuple[Path, ...] = option(
        (Path("-"),),
        "Incidents, observations, or whatever import reads, which together is one incident; '-' is stdin.",
        positional=True,
        metavar="FILE…",
    )
    incident: str | None = option(None, "Of several incidents only this one.", metavar="ID")
    at: str | None = option(
        None, "When the incident began: Unix seconds or an ISO date. Default: found.", metavar="TIME"
    )
    limit: int | None = option(
        None, "Read so many traces, rows or incidents of each file.", metavar="N", ge=1
    )
    ranker: str = option("gnn", "Who suggests suspects.", choices=RANKERS)
    top: int = option(5, "Show this many suspects.", ge=1)
    attribute: bool = option(
        False, "Also say what the network goes by: the share of each piece of evidence in its lead."
    )
    explain: bool = option(False, "Ask the model for a short diagnosis.")


@command(RankOptions)
def rank(asked: RankOptions) -> int:
    """Ranks the services of an incident by how likely each is the root cause, and says why.

    [dim]Example:[/dim] firewatch rank prom.json traces.json alerts.json --top 3
    """
    from gnn.checkpoint import channel_map_for
    from gnn.registry import make_ranker

    incidents = _chosen(read_files(asked.files, asked.at, asked.limit, asked.quiet), asked)
    channel_map = channel_map_for(asked.rules, [asked.checkpoint] if asked.checkpoint else ())
    ranker = make_ranker(asked.ranker, asked.checkpoint, asked.seed, channel_map)
    tell_unmapped(unmapped_in(incidents, channel_map), asked.quiet)
    records = []
    for one in incidents:
        words, record = _ranked(one, ranker, channel_map, asked)
        records.append(record)
        if not asked.quiet and not is_stdout(asked.json_to):
            heading = f"{printable(one.incident_id)}:\n" if len(incidents) > 1 else ""
            print(heading + words, end="", flush=True)
    write_json(asked.json_to, records[0] if len(records) == 1 else {"incidents": records})
    return 0


def _chosen(incidents: Sequence[Incident], asked: RankOptions) -> Sequence[Incident]:
    """All of them, or the one that was asked for.

    Raises:
        SchemaError: there is no such incident.
    """
    if asked.incident is None:
        return incidents
    found = [one for one in incidents if one.incident_id == asked.incident]
    if not found:
        where = ", ".join("stdin" if is_stdout(path) else str(path) for path in asked.files)
        known = ", ".join([one.incident_id for one in incidents][:5]) or "no incident_id at all"
        raise SchemaError(where, "incident_id", known, f"there is no '{asked.incident}': choose one that is")
    return found


def _ranked(
    incident: Incident, ranker: "Ranker", channel_map: ChannelMap, asked: RankOptions
) -> tuple[str, dict[str, Any]]:
    """What is said of one incident, and what is written of it."""
    from agent.report.attribution import attributed, attribution_record
    from agent.report.diagnosis import NOT_ATTRIBUTED, diagnosis

    ranking, found = ranker.rank(incident), NOT_ATTRIBUTED
    if asked.attribute:
        ranking, found = attributed(ranker, incident, ranking, asked.top, asked.seed)
    words = diagnosis(incident, ranking, asked.top, found)
    unmapped = unmapped_in([incident], channel_map)
    record = {"incident": incident.incident_id, **ranking_record(ranking), "unmapped_metrics": unmapped}
    if asked.attribute:
        record["attribution"] = attribution_record(found)
    if asked.explain:
        from agent.cli.environ import settings_from_environment
        from agent.cli.interrupt import run_interruptible
        from agent.llm.explaining import explain_ranking

        record["explanation"] = run_interruptible(
            explain_ranking(words, settings_from_environment(), asked.seed)
        )
        words += f"\n{record['explanation']}\n"
    return words, record
