"""Lets only one process at a time write into a results folder."""

import os
from pathlib import Path

from filelock import FileLock, Timeout

from data.errors import SettingsError

LOCK = ".lock"


def hold(folder: Path) -> FileLock:
    """Locks `folder` for as long as the returned object, or this process, exists.

    The operating system releases the lock even after a crash; the lock file that stays behind is harmless.

    Raises:
        SettingsError: another process holds the lock; says which.
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
