"""Text from outside – names, evidence, feedback – as one line that no terminal and no renderer obeys."""

import re

# What a renderer makes a link, a mention or a reference of, wherever it stands outside of code.
_LINK = re.compile(r"://|\bwww\.|\w@\w+\.\w|(?<!\w)[@#]\w|\bGH-\d", re.IGNORECASE)
_MARKUP = frozenset("\\`*_[]<>|~&")


def printable(text: str) -> str:
    """`text` on one line, without characters that move a cursor, change a title or turn the direction."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def markdown_text(text: str) -> str:
    """`text` as Markdown that reads the same and links to nothing."""
    line = printable(text)
    if _LINK.search(line):
        return markdown_code(line)
    return "".join(f"\\{c}" if c in _MARKUP else c for c in line)


def markdown_code(text: str) -> str:
    """`text` as code; neither the code span nor a table's cell can be left from within."""
    return f"`{printable(text).replace('`', chr(39)).replace('|', '¦')}`"
