"""Writes the README's tables anew from the committed results: `python -m agent.showcase`."""

import json
from pathlib import Path

from agent.tables import rewrite

TREE = Path(__file__).resolve().parent.parent
README, RESULTS = TREE / "README.md", TREE / "checkpoints" / "results"


def refreshed(readme: Path = README, results: Path = RESULTS) -> str:
    """The text of `readme` with its tables made from the result files in the folder `results`.

    Raises:
        SettingsError: a table is asked for that no result has.
    """
    known = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in results.glob("*.json")}
    return rewrite(readme.read_text(encoding="utf-8"), known)


def main(readme: Path = README, results: Path = RESULTS) -> None:
    """Rewrites `readme` in place."""
    readme.write_text(refreshed(readme, results), encoding="utf-8")


if __name__ == "__main__":
    main()
