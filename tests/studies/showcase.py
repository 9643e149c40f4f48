"""Updates the tables of both READMEs from the committed results: `make readme`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.tables import rewrite

TREE = Path(__file__).resolve().parents[2]
RESULTS = TREE / "checkpoints" / "results"
PAGES = TREE / "README.md", TREE / "checkpoints" / "README.md"


# The rows of the overview of real incidents; the best published scorer takes one row.
SHIPPED_ROW, RANDOM_ROW = "shipped ranker, never saw the system", "random order"
LEARNT_ROW, BEST_ROW = "trained on the system's own labels", "best published scorer for the set"
_NOT_PUBLISHED = ("gnn", "mlp", "untrained", "random", "heuristic")


def overview(incidents: Mapping[str, Any], trained: Mapping[str, Any]) -> dict[str, Any]:
    """Combines two results: real incidents ranked without and with training on the same system."""
    by_source: dict[str, dict[str, Any]] = {}
    for entry in incidents["results"]:
        by_source.setdefault(entry["source"].split(".")[0], {})[entry["ranker"]] = entry
    learnt = {entry["source"]: entry for entry in trained["results"]}
    results = []
    for source, entries in by_source.items():
        published = [entry for name, entry in entries.items() if name not in _NOT_PUBLISHED]
        rows = {
            LEARNT_ROW: learnt.get(source),
            SHIPPED_ROW: entries["gnn"],
            BEST_ROW: max(published, key=lambda entry: entry["ac@1"] or 0.0),
            RANDOM_ROW: entries["random"],
        }
        for name, row in rows.items():
            if row is not None:
                results.append({**row, "source": f"{source} ({entries['gnn']['n']})", "ranker": name})
    return {"results": results}


def refreshed(page: Path, results: Path = RESULTS) -> str:
    """The text of `page`, with its tables from the result files in `results`.

    Raises:
        SettingsError: no result has a table of the page.
    """
    known = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in results.glob("*.json")}
    if {"incidents", "trained"} <= set(known):
        known["overview"] = overview(known["incidents"], known["trained"])
    return rewrite(page.read_text(encoding="utf-8"), known)


def main(pages: Sequence[Path] = PAGES, results: Path = RESULTS) -> None:
    """Rewrites `pages` in place."""
    for page in pages:
        page.write_text(refreshed(page, results), encoding="utf-8")


if __name__ == "__main__":
    main()
