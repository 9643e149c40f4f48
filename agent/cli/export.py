"""`firewatch export`: writes successful steps as data for fine-tuning."""

from pathlib import Path
from typing import Literal

from agent.cli.command import command
from agent.cli.console import note, write_json
from agent.records.export import chat_examples, write_examples
from data.options import Common, option


class ExportOptions(Common):
    """What to export."""

    runs: tuple[Path, ...] = option(..., "Run folders.", positional=True, metavar="RUN...")
    form: Literal["chat"] = option("chat", "chat: one {'messages': […]} per line.", name="--format")
    min_score: float = option(0.5, "Lowest score of the tasks to export.", ge=0.0, le=1.0)
    out: Path = option(Path("chat.jsonl"), "The file to write.", metavar="FILE")


@command(ExportOptions)
def export(asked: ExportOptions) -> int:
    """Writes the model's steps of solved tasks, without fallbacks, as chat JSONL.

    [dim]Example:[/dim] firewatch export runs/monday --format chat --min-score 0.8 --out chat.jsonl
    """
    examples = (example for run in asked.runs for example in chat_examples(run, asked.min_score))
    number = write_examples(asked.out, examples)
    note(f"{asked.out}: {number} examples", asked.quiet)
    write_json(asked.json_to, {"path": str(asked.out), "examples": number, "format": asked.form})
    return 0
