"""Text that the system under investigation wrote: cleaned, bounded and fenced, so that it stays data."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from data.actions import ACTION_TYPES

FENCE_OPEN = "<<<data"
FENCE_CLOSE = "data>>>"
MAX_NAME = 64

_PLAIN_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/@-]{{0,{MAX_NAME - 1}}}")
# What only the grader knows, and no prompt may hold, whoever wrote it: the grade and its figure, the fault's
# type, the task's id.
_GRADER_WORDS = re.compile(
    r"(?:reward|score)\w*(?:\W{0,3}(?:is|was|of)?\W{0,3}[-+]?\d+(?:\.\d+)?%?)?"
    r"|fault[ _-]?type\w*(?:\W{0,3}(?:is|was)?\W{0,3}\w+)?"
    r"|task_(?:easy|medium|hard)\w*",
    re.IGNORECASE,
)
# What models take for the end of data or the start of somebody else's turn.
_MARKERS = re.compile(
    r"<\s*/?\s*\|?\s*(?:system|assistant|user|tool|developer|im_start|im_end|data|instructions?|endoftext|inst|s)"
    r"\b[^<>]{0,40}\|?\s*/?\s*>"
    r"|<\|.{0,40}?\|>|<<+|>>+|\[/?\s*INST\s*\]|`{2,}|~{3,}|#{2,}|-{4,}|={4,}",
    re.IGNORECASE,
)
_ROLE = re.compile(r"\b(system|assistant|user|tool|developer|human|function)\s*[:>](?=\s|$)", re.IGNORECASE)
_DATA_WORD = re.compile(r"\bdata\b\s*>", re.IGNORECASE)
# A name that speaks as a turn or as an action is no plain name.
_ORDER = re.compile(
    rf"\b(?:system|assistant|user|tool|developer|human|function):|{'|'.join(ACTION_TYPES)}", re.I
)
_SPACE = re.compile(r"\s+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def clean(text: str, limit: int) -> str:
    """`text` as one bounded line without control characters, fences, turn markers and grader's secrets."""
    # Longer input than could matter is cut first, so that no text costs more than its share.
    line = _SPACE.sub(" ", _readable(text[: 4 * limit]))
    # Taking one marker out can join two halves of another.
    for _ in range(3):
        before, line = line, _GRADER_WORDS.sub("…", _DATA_WORD.sub("…", _MARKERS.sub("…", line)))
        if line == before:
            break
    line = _ROLE.sub(r"\1 -", line).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def speaks_of_the_grade(text: str) -> bool:
    """Whether something occurs that only the grader knows, which no prompt may hold."""
    return bool(_GRADER_WORDS.search(text))


def writable(text: str) -> str:
    """`text` with every half of a surrogate pair replaced: with one it could be neither written nor sent."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fenced(lines: Iterable[str]) -> list[str]:
    """Cleaned lines between two fence lines, each marked as quoted."""
    return [FENCE_OPEN, *(f"| {line}" for line in lines), FENCE_CLOSE]


def labels_of(names: Iterable[str]) -> Mapping[str, str]:
    """{name: label}: how each service is called in a prompt.

    A plain name is its own label. One that is not – a sentence, markup, a grader's word – becomes
    `service-<n>` after its position, so that it cannot speak.
    """
    ordered = list(dict.fromkeys(names))
    plain = {name for name in ordered if _is_plain(name)}
    labels: dict[str, str] = {}
    for position, name in enumerate(ordered, start=1):
        label = name if name in plain else f"service-{position}"
        while name not in plain and label in plain:
            label += "x"
        labels[name] = label
    return labels


def _is_plain(name: str) -> bool:
    if not _PLAIN_NAME.fullmatch(name) or _GRADER_WORDS.search(name) or _ORDER.search(name):
        return False
    return len(list(filter(None, re.split(r"[._:/@-]+", name)))) <= 8


def _readable(text: str) -> str:
    """The text in plain characters, each of which can be seen."""
    if text.isascii():  # nearly always, and quicker
        return _CONTROLS.sub(" ", text)
    return "".join(map(_visible, unicodedata.normalize("NFKC", text)))


def _visible(character: str) -> str:
    """The character; a space for a control character, nothing for one that cannot be seen on its own."""
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    return "" if category[0] in "CM" else character
