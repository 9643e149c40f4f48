"""`firewatch report`: a run, an evaluation or an ablation as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli import options as o


def report(
    result: Annotated[
        Path,
        typer.Argument(metavar="RESULT", help="A run or ablation folder, or the JSON of evaluate or ablate."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: report.html beside the result.")
    ] = None,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Turns a result into one self-contained HTML file that opens offline.

    [dim]Example:[/dim] firewatch report runs/monday --out report.html
    """
    from agent.cli.console import note, write_json
    from agent.report import build_report

    page = build_report(result)
    target = out or (result if result.is_dir() else result.parent) / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    note(f"{target}: {len(page) / 1e6:.2f} MB", quiet)
    write_json(json, {"path": str(target), "characters": len(page)})
    return 0
