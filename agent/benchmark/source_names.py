"""Short names for the files that rankers are compared on."""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from data.files.jsonl import SUFFIXES


def brief_names(paths: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """A unique name for each path: the file's name without suffix, after as many folders as needed.

    Results made on different machines are to be compared, so the name says no more of a path than it must.

    Args:
        paths: the sources' full names.
        taken: names that mean something else.
    """
    names = {path: _names(path) for path in paths}
    chosen = dict.fromkeys(names, 0)
    while True:
        brief = {path: names[path][index] for path, index in chosen.items()}
        uses = Counter(brief.values())
        clashing = [
            path
            for path, name in brief.items()
            if (uses[name] > 1 or name in taken) and chosen[path] + 1 < len(names[path])
        ]
        if not clashing:
            return brief
        for path in clashing:
            chosen[path] += 1


def _names(path: str) -> list[str]:
    """What the path may be called, shortest first; the last is the path as it is."""
    bare = path
    for suffix in SUFFIXES[::-1]:
        bare = bare.removesuffix(suffix)
    parts = Path(bare).absolute().parts
    return ["/".join(parts[start:]) for start in range(len(parts) - 1, 0, -1)] + [path]
