"""Makes untrusted text (names, evidence, feedback) safe to show in a terminal and in Markdown."""

import re

# What Markdown turns into a link, a mention or a reference.
_LINK = re.compile(r"://|\bwww\.|\w@\w+\.\w|(?<!\w)[@#]\w|\bGH-\d", re.IGNORECASE)
_MARKUP = frozenset("\\`*_[]<>|~&")


def printable(text: str) -> str:
    """`text` on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def markdown_text(text: str) -> str:
    """`text` escaped for Markdown, without links."""
    line = printable(text)
    if _LINK.search(line):
        return markdown_code(line)
    return "".join(f"\\{c}" if c in _MARKUP else c for c in line)


def markdown_code(text: str) -> str:
    """`text` as a code span, safe within a table."""
    return f"`{printable(text).replace('`', chr(39)).replace('|', '¦')}`"
