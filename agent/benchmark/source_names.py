"""Short names for the files that rankers are compared on."""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from data.files.jsonl import SUFFIXES


def brief_names(paths: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """A unique name for each path: the file name without suffix, with as many folders as needed.

    Short names make results from different machines comparable.

    Args:
        paths: the sources' full names.
        taken: names that are already in use.
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
    """Possible names of a path, from short to the full path."""
    bare = path
    for suffix in SUFFIXES[::-1]:
        bare = bare.removesuffix(suffix)
    parts = Path(bare).absolute().parts
    return ["/".join(parts[start:]) for start in range(len(parts) - 1, 0, -1)] + [path]
