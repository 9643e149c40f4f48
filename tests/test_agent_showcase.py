"""Both READMEs show the committed results."""

import json
from pathlib import Path
from typing import Any

import pytest
from studies.showcase import PAGES, RESULTS, main, refreshed

COMMITTED = sorted(RESULTS.glob("*.json"))
LARGEST = 1_000_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_a_page_agrees_with_the_committed_results(page: Path) -> None:
    if not page.exists():
        pytest.skip("an installed package has no README beside it")
    assert refreshed(page) == page.read_text(encoding="utf-8"), "run 'make readme'"


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: file.stem)
def test_committed_results_are_small_and_tell_nothing_of_a_machine(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text) < LARGEST
    outside = ("/home/", "/root/", "/work/", "../")
    assert not [place for place in outside if place in text]


def test_a_result_is_written_into_the_place_that_asks_for_it(tmp_path: Path) -> None:
    measures: dict[str, Any] = {"ac@1": 0.5, "ac@3": 1.0, "ac@5": 1.0, "avg@5": 0.9, "mrr": 0.7, "ece": None}
    entry = measures | {
        "source": "s", "ranker": "gnn", "n": 4, "unscored": 0, "ci95": {}, "chance": {"ac@1": 0.25},
        "lift": 2.0, "ms_per_ranking": 1.0, "by_tick": {}, "by_difficulty": {},
    }  # fmt: skip
    result = {
        "results": [entry], "comparisons": [], "values": {}, "config": {"tasks": []}, "git": None,
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2}, "weights_sha256": {},
    }  # fmt: skip
    (tmp_path / "real.json").write_text(json.dumps(result))
    (tmp_path / "other.json").write_text("{}")
    readme = tmp_path / "README.md"
    readme.write_text("# F\n<!-- ablation:begin real/ranking-at-a-glance -->\n<!-- ablation:end -->\n")
    main([readme], tmp_path)
    assert "| gnn | 0.500 / 1.000 |" in readme.read_text()
    assert refreshed(readme, tmp_path) == readme.read_text()


def test_the_shipped_rankers_are_told_with_what_they_are_sure_of(tmp_path: Path) -> None:
    sure = {"unsure_below": 0.5, "answered": 3, "coverage": 0.75, "risk": 0.2, "ci95": {"risk": [0.1, 0.4]}}
    measures: dict[str, Any] = {"ac@1": 0.5, "ac@3": 1.0, "ece": 0.1, "ci95": {"ac@1": [0.25, 0.75]}, "n": 4}
    entries = [
        {"source": "s", "ranker": "gnn", "abstention": sure} | measures,
        {"source": "s", "ranker": "mlp", "abstention": None} | measures,
        {"source": "s", "ranker": "random", "abstention": None} | measures,
    ]
    (tmp_path / "real.json").write_text(json.dumps({"results": entries}))
    card = tmp_path / "README.md"
    card.write_text("<!-- ablation:begin real/ranking-of-the-shipped -->\n<!-- ablation:end -->\n")
    rows = [line for line in refreshed(card, tmp_path).splitlines() if line.startswith("| s |")]
    assert rows == [
        "| s | gnn | 4 | 0.500 [0.250, 0.750] | 1.000 | 0.100 | 75% | 0.800 [0.600, 0.900] |",
        "| s | mlp | 4 | 0.500 [0.250, 0.750] | 1.000 | 0.100 | – | – |",
    ]
