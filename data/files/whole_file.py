"""Writes files atomically: after a crash or on a full disk there is the old file or the new, never half."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named(what: object) -> Iterator[None]:
    """Adds the file name to an OSError that lacks one, such as "disk full"."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(what)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces a file atomically, in a folder that is made if needed; a pipe or device is just written to.

    Raises:
        OSError: with the file's name; an existing file is unchanged.
    """
    whole = content.encode("utf-8") if isinstance(content, str) else content
    path = path.resolve()  # keep a symbolic link
    if path.exists() and not path.is_file():
        with named(path), path.open("wb") as file:
            file.write(whole)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    try:
        with named(path), beside.open("wb") as file:
            file.write(whole)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
