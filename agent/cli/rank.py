"""`firewatch rank`: ranks the suspects of incidents, with probabilities and evidence."""

from pathlib import Path
from typing import Any

from agent.cli.command import command
from agent.cli.console import is_stdout, write_json
from agent.cli.sources import ReadOptions, incidents_named, read_files, tell_unmapped, unmapped_in
from agent.terminal_text import printable
from data.channels import ChannelMap
from data.incident import Incident
from data.options import option
from gnn.options import Weights
from gnn.ranker import Ranker
from gnn.registry import RANKERS


class RankOptions(ReadOptions, Weights):
    """What to rank, and what to show."""

    files: tuple[Path, ...] = option(
        (Path("-"),),
        "Incidents, observations, or telemetry (see import), together one incident; '-' is stdin.",
        positional=True,
        metavar="FILE…",
    )
    incident: str | None = option(None, "Rank only this one of several incidents.", metavar="ID")
    ranker: str = option("gnn", "What ranks the suspects.", choices=RANKERS)
    top: int = option(5, "Show this many suspects.", ge=1)
    attribute: bool = option(
        False,
        "Also show how much each piece of evidence contributes to the suspect's lead (extra 'train').",
    )
    explain: bool = option(False, "Ask the model for a short diagnosis.")


@command(RankOptions)
def rank(asked: RankOptions) -> int:
    """Ranks the services of an incident by how likely each is the root cause, and says why.

    Reads telemetry of one incident in any form, one or more observations, or several incidents, and ranks
    each. 'firewatch report' turns the output of [bold]--json[/bold] into a page.

    [dim]Example:[/dim] firewatch rank prom.json traces.json alerts.json --top 3
    """
    incidents = incidents_named(asked.incident, read_files(asked.files, asked), asked.files)
    ranker, channel_map = asked.open_ranker(asked.ranker, asked.seed)
    tell_unmapped(unmapped_in(incidents, channel_map), asked.quiet)
    records = []
    for incident in incidents:
        words, record = _ranked(asked, ranker, incident, channel_map)
        records.append(record)
        if not asked.quiet and not is_stdout(asked.json_to):
            title = f"{printable(incident.incident_id)}\n" if len(incidents) > 1 else ""
            print(title + words, flush=True, end="\n" if title else "")
    write_json(asked.json_to, records[0] if len(records) == 1 else {"rankings": records})
    return 0


def _ranked(
    asked: RankOptions, ranker: Ranker, incident: Incident, channel_map: ChannelMap
) -> tuple[str, dict[str, Any]]:
    """The diagnosis of one incident in words and, if asked for, as data."""
    from agent.report.diagnosis import diagnosis
    from gnn.explain.attribution import Attribution, attribute_first

    ranking = ranker.rank(incident)
    found: dict[str, Attribution] = {}
    more: dict[str, Any] = {}
    if asked.attribute:
        ranking, found = attribute_first(ranker, incident, ranking, asked.top, asked.seed)
        more["attribution"] = {service: own.record() for service, own in found.items()}
    words = diagnosis(incident, ranking, asked.top, found)
    if asked.explain:
        from agent.cli.environ import settings_from_environment
        from agent.cli.interrupt import run_interruptible
        from agent.llm.explaining import explain_ranking

        settings = settings_from_environment()
        more["explanation"] = run_interruptible(explain_ranking(words, settings, asked.seed))
        words += f"\n{more['explanation']}\n"
    if asked.json_to is None:
        return words, {}
    from agent.report.ranking_report import diagnosis_record

    unmapped = unmapped_in([incident], channel_map)
    return words, {**diagnosis_record(incident, ranking), **more, "unmapped_metrics": unmapped}
