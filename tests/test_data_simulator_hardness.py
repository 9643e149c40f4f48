"""The committed figures on hard worlds meet their targets."""

import json
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "checkpoints" / "results" / "hardness.json"


def _ac1(source: str) -> dict[str, float]:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))["results"]
    found = {each["ranker"]: each["ac@1"] for each in results if each["source"] == source}
    assert all(each["n"] >= 300 for each in results)
    return found


def test_no_local_fingerprint_gives_the_culprit_away() -> None:
    ac1 = _ac1("hard")
    assert ac1["mlp"] < 0.90
    assert max(ac1["heuristic"], ac1["zscore"]) < ac1["mlp"] < ac1["gnn"]


def test_an_unmeasured_culprit_is_found_by_its_neighbours_and_only_by_them() -> None:
    ac1 = _ac1("hard, nothing measured at the culprit")
    assert ac1["gnn"] > ac1["any unmeasured service"] + 0.2
    assert abs(ac1["mlp"] - ac1["any unmeasured service"]) < 0.1
