"""`firewatch export`: chosen trajectories as data for fine-tuning."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.cli import options as o


class Format(StrEnum):
    """The forms of export."""

    CHAT = "chat"


def export(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    form: Annotated[
        Format, typer.Option("--format", help="chat: one {'messages': […]} a line.")
    ] = Format.CHAT,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the tasks to take.")] = 0.5,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path("chat.jsonl"),
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Writes the model's steps of solved tasks, without fallbacks, as chat JSONL.

    [dim]Example:[/dim] firewatch export runs/monday --format chat --min-score 0.8 --out chat.jsonl
    """
    from agent.cli.console import note, write_json
    from agent.records.export import chat_examples, write_examples

    number = write_examples(out, (example for run in runs for example in chat_examples(run, min_score)))
    note(f"{out}: {number} examples", quiet)
    write_json(json, {"path": str(out), "examples": number, "format": form.value})
    return 0
