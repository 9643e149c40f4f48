"""Writes the tables of README and card from the committed results: `python -m agent.benchmark.showcase`."""

import json
from collections.abc import Sequence
from pathlib import Path

from agent.benchmark.tables import rewrite

TREE = Path(__file__).resolve().parents[2]
RESULTS = TREE / "checkpoints" / "results"
PAGES = TREE / "README.md", TREE / "checkpoints" / "README.md"


def refreshed(page: Path, results: Path = RESULTS) -> str:
    """The text of `page` with its tables made from the result files in the folder `results`.

    Raises:
        SettingsError: a table is asked for that no result has.
    """
    known = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in results.glob("*.json")}
    return rewrite(page.read_text(encoding="utf-8"), known)


def main(pages: Sequence[Path] = PAGES, results: Path = RESULTS) -> None:
    """Rewrites `pages` in place."""
    for page in pages:
        page.write_text(refreshed(page, results), encoding="utf-8")


if __name__ == "__main__":
    main()
