"""Renders a report as Markdown for a pull request, without plots and replays."""

from collections.abc import Iterable

from agent.report.document import Report, Section, Table
from agent.terminal_text import markdown_text

_FOLDED_FROM = 30  # rows; longer tables are collapsed


def render_markdown(report: Report) -> str:
    """The whole document."""
    parts = [f"# {report.kind}: {markdown_text(report.title)}", markdown_text(report.lead)]
    if report.points:
        parts.append("\n".join(f"- {markdown_text(point)}" for point in report.points))
    parts += [part for section in report.sections for part in _section(section)]
    if report.facts:
        facts = "\n".join(
            f"| {markdown_text(name)} | {markdown_text(value)} |" for name, value in report.facts.items()
        )
        parts += ["## How it was made", f"| | |\n|---|---|\n{facts}"]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> Iterable[str]:
    if section.table is None:  # nothing but plots
        return
    yield f"## {markdown_text(section.title)}"
    yield from map(markdown_text, section.text)
    table = _table(section.table)
    rows = len(section.table.rows)
    if rows < _FOLDED_FROM:
        yield table
    else:
        yield f"<details><summary>{rows} rows</summary>\n\n{table}\n\n</details>"


def _table(table: Table) -> str:
    numeric = [any(row[column].is_number for row in table.rows) for column in range(len(table.headings))]
    lines = [
        _line(markdown_text(heading) for heading, _ in table.headings),
        _line("---:" if is_number else "---" for is_number in numeric),
        *(_line(markdown_text(cell.text) for cell in row) for row in table.rows),
    ]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
