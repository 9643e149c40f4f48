"""`firewatch import`: converts telemetry from other tools into incidents."""

from pathlib import Path

from agent.cli.command import command
from agent.cli.console import is_stdout, note
from agent.cli.sources import ReadOptions, read_files
from agent.terminal_text import printable
from data.options import option
from data.words import count


class ImportOptions(ReadOptions):
    """What to read, and where to write."""

    files: tuple[Path, ...] = option(
        (Path("-"),),
        "Prometheus answers, traces, alerts, logs, tables, folders of a data set; together one incident.",
        positional=True,
        metavar="FILE…",
    )
    out: Path = option(Path("-"), "A .jsonl file for the incidents. Default: stdout.", metavar="FILE")


@command(ImportOptions)
def import_(asked: ImportOptions) -> int:
    """Reads telemetry in any known format and writes incidents, one per line, for rank, evaluate and train.

    [dim]Example:[/dim] firewatch import prom.json traces.json alerts.json --out incidents.jsonl
    """
    import json
    import sys

    from data.files.whole_file import named, write_whole
    from data.sources.own_form import to_json

    incidents = read_files(asked.files, asked)
    text = "".join(json.dumps(to_json(one), ensure_ascii=False) + "\n" for one in incidents)
    if is_stdout(asked.out):
        with named("stdout"):
            sys.stdout.write(text)
        return 0
    write_whole(asked.out, text)
    for one in incidents:
        points = max((len(s.incident) for m in one.telemetry.values() for s in m.values()), default=0)
        note(
            f"{printable(one.incident_id)}: {count(len(one.services), 'service')}, "
            f"{count(len(one.alerts), 'alert')}, {count(len(one.call_telemetry), 'measured call')}, "
            f"{count(points, 'point')}",
            asked.quiet,
        )
    note(f"{asked.out}: {count(len(incidents), 'incident')}. Next: firewatch rank {asked.out}", asked.quiet)
    return 0
