"""Keeps the grader's talk out of everything that an agent may read."""

import re

# Actions whose feedback names the fault on some servers; see `clean_feedback`.
TELLTALE_ACTIONS = frozenset({"strace_process", "inspect_commit_diff", "thread_dump"})

_FAULT_NAMES = (
    "oom",
    "out of memory",
    "memory leak",
    "bad deploy(?:ment)?",
    "config(?:uration)? drift",
    "network partition",
    "cpu (?:starvation|throttling)",
    "crash loop",
    "deadlock",
    "disk full",
    "expired certificate",
    "certificate expir(?:y|ed)",
    "clock skew",
    "slow query",
    "gray failure",
    "packet loss",
    "retry storm",
    "cache stampede",
    "(?:quota|rate limit) exhaust(?:ion|ed)",
    "stale (?:service )?registry",
    "noisy neighbou?r",
    "split brain",
    "code defect",
    "network delay",
    "instances? lost",
    "runaway process",
    "(?:cpu|processor|memory|disk) stress",
    "uncaught exception",
    "rejected logins?",
)
_FAULT_NAME = re.compile(rf"\b(?:{'|'.join(_FAULT_NAMES)})\b")
_SPACING = re.compile(r"[\s_\-]+")
# A bracket or a whole sentence that speaks of "the fault type" in a remedy's feedback.
_FAULT_TYPE_TALK = re.compile(
    r"\s*\([^()]*fault[ _]type[^()]*\)|[^.!?]*\bfault[ _]type\b[^.!?]*[.!?]?", re.IGNORECASE
)


def clean_feedback(action_type: str, feedback: str) -> str:
    """Returns the part of an action's feedback that an agent may read, possibly "".

    The feedback of a telltale investigation that names a fault is dropped whole; from any other feedback only
    the remarks about "the fault type" are cut.
    """
    if action_type in TELLTALE_ACTIONS and _FAULT_NAME.search(_SPACING.sub(" ", feedback.lower())):
        return ""
    if "fault" not in feedback.lower():  # nearly always, and the expression below is slow
        return feedback.strip()
    return _FAULT_TYPE_TALK.sub("", feedback).strip()
