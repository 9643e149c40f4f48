"""Files written whole: a reader, a crash or a full disk finds the old one or the new one, never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named(what: object) -> Iterator[None]:
    """An error of the operating system that names no file, as of a full disk, names `what`."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(what)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Replaces a file at once; what is no regular file, such as a pipe or /dev/null, is written to.

    Raises:
        OSError: with the name of a file; the old one is as it was.
    """
    whole = content.encode("utf-8") if isinstance(content, str) else content
    path = path.resolve()  # a link stays one
    if path.exists() and not path.is_file():
        with named(path), path.open("wb") as file:
            file.write(whole)
        return
    beside = path.with_name(path.name + ".new")
    try:
        with named(path), beside.open("wb") as file:
            file.write(whole)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
