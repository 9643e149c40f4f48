"""The README says what the committed results say."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.showcase import README, RESULTS, main, refreshed

COMMITTED = sorted(RESULTS.glob("*.json"))
LARGEST = 1_000_000


def test_the_readme_agrees_with_the_committed_results() -> None:
    if not README.exists():
        pytest.skip("an installed package has no README beside it")
    assert refreshed() == README.read_text(encoding="utf-8"), "run 'python -m agent.showcase'"


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
    readme.write_text("# F\n<!-- ablation:begin real/ranking -->\n<!-- ablation:end -->\n")
    main(readme, tmp_path)
    assert "| s | gnn | 4 | 0 | 0.500 |" in readme.read_text()
    assert refreshed(readme, tmp_path) == readme.read_text()
