"""One process at a time writes into a folder of results."""

import os
from pathlib import Path

from filelock import FileLock, Timeout

from data.errors import SettingsError

LOCK = ".lock"


def hold(folder: Path) -> FileLock:
    """Keeps other processes out of `folder` until what is returned is gone, or this process is.

    Whatever ends the process, the operating system gives the lock back; the file that stays holds nobody up.

    Raises:
        SettingsError: another process holds it; says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = FileLock(path.resolve(), blocking=False, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        owner = path.read_text(encoding="utf-8", errors="replace").strip()[:20]
        raise SettingsError(
            f"{folder}: process {owner or '(unknown)'} writes there – let it end, or choose another --out"
        ) from None
    path.write_text(f"{os.getpid()}\n", encoding="utf-8")
    return lock
