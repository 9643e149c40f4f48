"""Puts a conclusion into words: for a terminal, or as Markdown for a chat or ticket."""

from collections.abc import Iterable

from agent.investigation.conclusion import Conclusion
from agent.report.diagnosis import percent_words
from agent.terminal_text import markdown_code, markdown_text, printable


def answer_line(conclusion: Conclusion) -> str:
    """The culprit in one sentence."""
    if conclusion.verdict == "nobody":
        return f"Nobody: {conclusion.reason}."
    if conclusion.verdict == "unsure":
        if not conclusion.culprits:
            return f"Unsure: {conclusion.reason}."
        between = "whether it is" if len(conclusion.culprits) == 1 else "between"
        return f"Unsure {between} {' and '.join(conclusion.culprits)}: {conclusion.reason}."
    return f"Culprit: {conclusion.culprits[0]} ({_chance(conclusion.confidence)}): {conclusion.reason}."


def as_text(conclusion: Conclusion) -> str:
    """For a person who was just woken up."""
    lines = [printable(answer_line(conclusion))]
    for title, items in sections_of(conclusion):
        lines += [f"{title}:"]
        for text, query in items:
            lines += [f"  - {printable(text)}", *([f"    {printable(query)}"] if query else [])]
    return "\n".join(lines) + "\n"


def as_markdown(conclusion: Conclusion) -> str:
    """The same as Markdown, without links or mentions."""
    lines = [f"**{markdown_text(answer_line(conclusion))}**"]
    for title, items in sections_of(conclusion):
        lines += ["", f"### {title}", ""]
        lines += [
            f"- {markdown_text(text)}" + (f"  \n  {markdown_code(query)}" if query else "")
            for text, query in items
        ]
    return "\n".join(lines) + "\n"


def sections_of(conclusion: Conclusion) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """Titles with (text, query or command), without empty ones."""
    told = [
        ("Evidence", [(one.text, one.query) for one in conclusion.evidence]),
        (
            "Why not",
            [(f"{one.service} ({_chance(one.chance)}): {one.why_not}", "") for one in conclusion.rivals],
        ),
        ("The model says", [(one.text, "") for one in conclusion.said]),
        ("What would settle it", [(one, "") for one in conclusion.would_settle]),
        ("Next", [(conclusion.next_action.words, conclusion.next_action.command)]),
        ("Notes", [(one, "") for one in conclusion.notes]),
    ]
    return ((title, items) for title, items in told if items)


def _chance(chance: float | None) -> str:
    return "chance unknown" if chance is None else percent_words(chance)
