"""A job that is killed at its first try, for tests of worker pools."""

import os
import signal
from pathlib import Path


def killed_once(number: int, marks: Path) -> int:
    """The number; but the first try ends as if the machine ran out of memory."""
    mark = marks / str(number)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number
