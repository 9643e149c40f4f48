"""Removes hints about the answer from everything that an agent may read."""

import re
from functools import cache

from data.faults.families import fault_families

# On some servers the feedback of these actions names the fault; see `clean_feedback`.
TELLTALE_ACTIONS = frozenset({"strace_process", "inspect_commit_diff", "thread_dump"})

# Other words for fault families, besides their names and titles.
_OTHER_WORDS = (
    "cpu throttling", "deadlock", "certificate expir(?:y|ed)", "rate limit exhaust(?:ion|ed)",
    "quota exhausted", "noisy neighbor", "rejected login",
)  # fmt: skip
_SPACING = re.compile(r"[\s_\-]+")
# A bracket or a sentence about "the fault type" in a remedy's feedback.
_FAULT_TYPE_TALK = re.compile(
    r"\s*\([^()]*fault[ _]type[^()]*\)|[^.!?]*\bfault[ _]type\b[^.!?]*[.!?]?", re.IGNORECASE
)


def _plain(words: str) -> str:
    return _SPACING.sub(" ", words.lower())


@cache
def _fault_name() -> re.Pattern[str]:
    names = [_plain(words) for family in fault_families().values() for words in (family.name, family.title)]
    return re.compile(rf"\b(?:{'|'.join([*names, *_OTHER_WORDS])})\b")


def clean_feedback(action_type: str, feedback: str) -> str:
    """The part of an action's feedback that an agent may read, possibly "".

    Feedback of a telltale action that names a fault is dropped entirely; from other feedback only remarks
    about "the fault type" are cut.
    """
    if action_type in TELLTALE_ACTIONS and _fault_name().search(_plain(feedback)):
        return ""
    if "fault" not in feedback.lower():  # the usual case; the expression below is slow
        return feedback.strip()
    return _FAULT_TYPE_TALK.sub("", feedback).strip()
