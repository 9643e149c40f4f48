"""Text from outside – names, evidence, feedback – as one line that a terminal shows and never obeys."""


def printable(text: str) -> str:
    """`text` on one line, without the control characters that would move a cursor or change a title."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
