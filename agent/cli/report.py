"""`firewatch report`: a run, an evaluation, an ablation or stored episodes as one file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.cli import options as o


class Form(StrEnum):
    """What the report is written as."""

    HTML = "html"
    MARKDOWN = "md"


def report(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT",
            help="A run or ablation folder, the JSON of evaluate or ablate, or stored episodes.",
        ),
    ],
    against: Annotated[
        Path | None,
        typer.Option(metavar="RESULT", help="Show what changed from the first result to this one."),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="A page that opens offline, or Markdown for a pull request.")
    ] = Form.HTML,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Default: report.html (or .md) in a folder; beside a file one that is named so.",
        ),
    ] = None,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Turns a result into one self-contained HTML file that opens offline, or into Markdown.

    [dim]Example:[/dim] firewatch report runs/monday --against runs/tuesday --out changes.html
    """
    from agent.cli.console import note, write_json
    from agent.report.build import beside, make_report
    from agent.report.html import render_html
    from agent.report.markdown import render_markdown
    from data.files.whole_file import write_whole

    made = make_report(result, against)
    page = render_html(made) if form is Form.HTML else render_markdown(made)
    target = out or beside(result, against, form.value)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page)
    size = len(page.encode("utf-8"))
    note(f"{target}: {size / 1e6:.2f} MB", quiet)
    write_json(json, {"path": str(target), "bytes": size})
    return 0
