"""The README shows the real output."""

import re
from pathlib import Path

import pytest

from agent.cli import answer

README = Path(__file__).resolve().parent.parent / "README.md"
MOST_LINES = 150


@pytest.fixture
def blocks() -> list[str]:
    if not README.exists():
        pytest.skip("an installed package has no README beside it")
    return re.findall(r"```\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_is_read_in_three_minutes(blocks: list[str]) -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < MOST_LINES


def test_rank_says_of_the_readmes_incident_what_the_readme_says(
    blocks: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = next(number for number, block in enumerate(blocks) if block.startswith('{"incident_id"'))
    incident = tmp_path / "incident.json"
    incident.write_text(blocks[place], encoding="utf-8")
    assert answer(["rank", str(incident), "--top", "1"]) == 0
    assert capsys.readouterr().out == blocks[place + 1], "run 'make readme'"


def test_the_smoke_tasks_end_as_the_readme_says(
    blocks: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    [summary] = [block for block in blocks if block.startswith("task ")]
    options = ["--test-run", "--env", "embedded", "--policy", "rules", "--out", str(tmp_path / "run")]
    assert answer(["run", *options]) == 0
    said = [line.rstrip() for line in capsys.readouterr().err.splitlines()]
    assert [line for line in summary.splitlines() if line not in said] == [], "run 'make readme'"


def test_every_command_of_the_readme_is_one(blocks: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    lines = [line.partition("  #")[0].split() for block in blocks for line in block.splitlines()]
    for words in lines:
        if words[:1] == ["make"]:
            assert f"\n{words[1]}:" in makefile, words
        if words[:1] == ["firewatch"]:
            assert answer([words[1], "--help"]) == 0, words
            told = capsys.readouterr().out.split()
            assert {word for word in words if word.startswith("--")} <= set(told), words
