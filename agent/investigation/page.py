"""The report on an investigation: the answer, then the evidence, the rivals, and every look."""

from agent.investigation.investigate import Investigation
from agent.investigation.words import answer_line, sections_of
from agent.report.document import Report, Section, Table, text


def investigation_report(found: Investigation) -> Report:
    """The report."""
    conclusion = found.conclusion
    told = dict(sections_of(conclusion))
    [(words, command)] = told.pop("Next")
    rows = tuple(
        (
            text(str(step.number)),
            text(str(step.action)),
            text(step.decision.source),
            text(step.decision.reason),
            text(step.error or step.feedback),
        )
        for step in found.result.steps
    )
    headings = tuple((name, "") for name in ("step", "what was done", "decided by", "why", "what it showed"))
    return Report(
        title=conclusion.incident or "An incident",
        kind="Investigation",
        lead=answer_line(conclusion),
        points=(f"Next: {words}", *((command,) if command else ())),
        sections=(
            *(
                Section(title, tuple(line for pair in items for line in pair if line))
                for title, items in told.items()
            ),
            Section("Every step", table=Table(headings, rows)),
        ),
        facts={"ranker": found.ranking.ranker},
    )
