"""`firewatch report`: shows a run, an evaluation, an ablation, a ranking or episodes as one file."""

from pathlib import Path
from typing import Literal

from agent.cli.command import command
from agent.cli.console import note, write_json
from data.files.whole_file import write_whole
from data.options import Common, option


class ReportOptions(Common):
    """What to show, and how."""

    result: Path = option(
        ...,
        "A run or ablation folder, the JSON of evaluate, ablate or rank, or stored episodes.",
        positional=True,
        metavar="RESULT",
    )
    against: Path | None = option(
        None, "Show what changed from the first result to this one.", metavar="RESULT"
    )
    form: Literal["html", "md"] = option(
        "html", "A page that opens offline, or Markdown for a pull request.", name="--format"
    )
    out: Path | None = option(
        None,
        "Default: report.html (or .md) in the result's folder, or next to its file.",
        metavar="FILE",
    )


@command(ReportOptions)
def report(asked: ReportOptions) -> int:
    """Turns a result into one self-contained HTML file that opens offline, or into Markdown.

    [dim]Example:[/dim] firewatch report runs/monday --against runs/tuesday --out changes.html
    """
    from rich.filesize import decimal

    from agent.report.build import beside, make_report
    from agent.report.html import render_html
    from agent.report.markdown import render_markdown

    made = make_report(asked.result, asked.against)
    page = render_html(made) if asked.form == "html" else render_markdown(made)
    target = asked.out or beside(asked.result, asked.against, asked.form)
    write_whole(target, page)
    size = len(page.encode("utf-8"))
    note(f"{target}: {decimal(size)}", asked.quiet)
    write_json(asked.json_to, {"path": str(target), "bytes": size})
    return 0
