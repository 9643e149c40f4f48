"""What the README shows is what comes out."""

import re
from pathlib import Path

import pytest

from agent.cli import answer

README = Path(__file__).resolve().parent.parent / "README.md"


def test_rank_says_of_the_readmes_incident_what_the_readme_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if not README.exists():
        pytest.skip("an installed package has no README beside it")
    blocks = re.findall(r"```\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    place = next(number for number, block in enumerate(blocks) if block.startswith('{"incident_id"'))
    demo = tmp_path / "demo.json"
    demo.write_text(blocks[place], encoding="utf-8")
    assert answer(["rank", str(demo), "--top", "1"]) == 0
    assert capsys.readouterr().out == blocks[place + 1]


def test_an_incident_without_an_id_is_told_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nameless = tmp_path / "nameless.json"
    nameless.write_text('{"call_graph": {"web": ["db"]}}', encoding="utf-8")
    assert answer(["rank", str(nameless)]) == 2
    assert "field 'incident_id' is missing" in capsys.readouterr().err
