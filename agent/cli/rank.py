"""`firewatch rank`: one case in, ranked suspects with probability and evidence out."""

from pathlib import Path

from agent.cli.command import command
from agent.cli.console import is_stdout, note, write_json
from agent.cli.naming import tell_unmapped, unmapped_in
from agent.cli.sources import bytes_of
from agent.records.trajectory import ranking_record
from data.options import Common, option
from gnn.options import Weights
from gnn.registry import RANKERS


class RankOptions(Common, Weights):
    """What is ranked, and what is said of it."""

    case: Path = option(
        Path("-"),
        "An observation, a window or an incident as JSON; '-' is stdin.",
        positional=True,
        metavar="FILE",
    )
    incident: str | None = option(None, "Of several incidents, one a line. Default: the first.", metavar="ID")
    ranker: str = option("gnn", "Who suggests suspects.", choices=RANKERS)
    top: int = option(5, "Show this many suspects.", ge=1)
    attribute: bool = option(
        False, "Also say what the network goes by: the share of each piece of evidence in its lead."
    )
    explain: bool = option(False, "Ask the model for a short diagnosis.")


@command(RankOptions)
def rank(asked: RankOptions) -> int:
    """Ranks the services of one incident by how likely each is the root cause, and says why.

    [dim]Example:[/dim] firewatch rank observation.json --top 3
    """
    from agent.report.attribution import attributed, attribution_record
    from agent.report.diagnosis import NOT_ATTRIBUTED, diagnosis
    from data.sources.one_case import read_case
    from gnn.checkpoint import channel_map_for
    from gnn.registry import make_ranker

    where = "stdin" if is_stdout(asked.case) else str(asked.case)
    incident, of = read_case(bytes_of(asked.case), where, asked.incident)
    channel_map = channel_map_for(asked.rules, [asked.checkpoint] if asked.checkpoint else ())
    ranker = make_ranker(asked.ranker, asked.checkpoint, asked.seed, channel_map)
    unmapped = unmapped_in([incident], channel_map)
    tell_unmapped(unmapped, asked.quiet)
    ranking, found = ranker.rank(incident), NOT_ATTRIBUTED
    if asked.attribute:
        ranking, found = attributed(ranker, incident, ranking, asked.top, asked.seed)
    words = diagnosis(incident, ranking, asked.top, found)
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
    if of > 1 and asked.incident is None:
        note(
            f"{where}: {of} lines, ranked is the first; choose with --incident ID, or use 'evaluate'",
            asked.quiet,
        )
    if not asked.quiet and not is_stdout(asked.json_to):
        print(words, end="")
    write_json(asked.json_to, record)
    return 0
