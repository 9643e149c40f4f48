"""`firewatch rank`: one case in, ranked suspects with probability and evidence out."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli import options as o


def rank(
    case: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="An observation, a window or an incident as JSON; '-' is stdin."),
    ] = Path("-"),
    chosen: Annotated[
        str | None,
        typer.Option(
            "--incident", metavar="ID", help="Of several incidents, one a line. Default: the first."
        ),
    ] = None,
    ranker: o.Ranker = o.RankerChoice.GNN,
    checkpoint: o.Checkpoint = None,
    rules: o.Rules = None,
    top: Annotated[int, typer.Option(min=1, help="Show this many suspects.")] = 5,
    attribute: Annotated[
        bool,
        typer.Option(
            "--attribute",
            help="Also say what the network goes by: the share of each piece of evidence in its lead.",
        ),
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Ask the model for a short diagnosis.")] = False,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Ranks the services of one incident by how likely each is the root cause, and says why.

    [dim]Example:[/dim] firewatch rank observation.json --top 3
    """
    from agent.cli.console import is_stdout, note, write_json
    from agent.cli.naming import tell_unmapped, unmapped_in
    from agent.cli.sources import bytes_of
    from agent.records.trajectory import ranking_record
    from agent.report.attribution import attributed, attribution_record
    from agent.report.diagnosis import NOT_ATTRIBUTED, diagnosis
    from data.sources.one_case import read_case
    from gnn.checkpoint import channel_map_for
    from gnn.registry import make_ranker

    where = "stdin" if str(case) == "-" else str(case)
    incident, of = read_case(bytes_of(case), where, chosen)
    channel_map = channel_map_for(rules, [checkpoint] if checkpoint else ())
    maker = make_ranker(ranker.value, checkpoint, seed, channel_map)
    unmapped = unmapped_in([incident], channel_map)
    tell_unmapped(unmapped, quiet)
    ranking, found = maker.rank(incident), NOT_ATTRIBUTED
    if attribute:
        ranking, found = attributed(maker, incident, ranking, top, seed)
    words = diagnosis(incident, ranking, top, found)
    record = {"incident": incident.incident_id, **ranking_record(ranking), "unmapped_metrics": unmapped}
    if attribute:
        record["attribution"] = attribution_record(found)
    if explain:
        from agent.cli import explaining
        from agent.cli.interrupt import run_interruptible

        record["explanation"] = run_interruptible(explaining.explain_ranking(words, seed))
        words += f"\n{record['explanation']}\n"
    if of > 1 and chosen is None:
        note(f"{where}: {of} lines, ranked is the first; choose with --incident ID, or use 'evaluate'", quiet)
    if not quiet and not is_stdout(json):
        print(words, end="")
    write_json(json, record)
    return 0
