"""`firewatch label`: records the root cause of a saved incident, for training."""

from pathlib import Path

from agent.cli.command import command
from agent.cli.console import note, write_json
from data.options import Common, option


class LabelOptions(Common):
    """The incident, and its root cause."""

    file: Path = option(
        ...,
        "A saved incident, for example from diagnose --save, or a folder of investigate --out.",
        positional=True,
        metavar="FILE",
    )
    services: tuple[str, ...] = option(
        ..., "The root cause, or several.", positional=True, metavar="SERVICE…"
    )
    incident: str | None = option(None, "Which incident, if the file has several.", metavar="ID")
    fault: str | None = option(None, "What went wrong, in one word.", metavar="WORD")


@command(LabelOptions)
def label(asked: LabelOptions) -> int:
    """Writes the root cause into a saved incident, for train --incidents and evaluate.

    A folder of [bold]investigate --out[/bold] is graded, too: export takes the steps of good investigations.

    [dim]Example:[/dim] firewatch label incidents/2026-11-30.json payment
    """
    from data.sources.files.labelling import label_file

    if asked.file.is_dir():
        from agent.investigation.labelling import label_investigation

        name = label_investigation(asked.file, asked.services, asked.fault)
    else:
        name = label_file(asked.file, asked.services, asked.incident, asked.fault)
    note(f"{asked.file}: {name} was caused by {', '.join(asked.services)}", asked.quiet)
    write_json(
        asked.json_to, {"incident": name, "root_causes": list(asked.services), "file": str(asked.file)}
    )
    return 0
