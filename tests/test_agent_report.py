"""Reports open offline, show every task and arm, and keep what they quote as text."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from agent.cli import answer
from agent.report import build_report
from data.errors import SchemaError, SettingsError


class Page(HTMLParser):
    """Collects tags, what they refer to, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "r"
    command = ["run", "--env", "embedded", "--ranker", "heuristic", "--policy", "rules", "--episodes", "2"]
    assert answer([*command, "--out", str(folder), "--quiet"]) == 0
    return folder


def test_a_run_shows_every_task_and_step_and_needs_no_network(run: Path) -> None:
    page = Page(build_report(run))
    episodes = [json.loads(line) for line in (run / "episodes.jsonl").read_text().splitlines()]
    assert all(episode["task"] in page.text for episode in episodes)
    assert page.tags.count("h3") == sum(episode["steps"] for episode in episodes)
    assert page.references == []


def test_html_in_what_is_quoted_stays_text(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("run.json", "episodes.jsonl", "steps.jsonl"):
        text = (run / name).read_text()
        (folder / name).write_text(text)
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    steps[0]["feedback"] = "</p><script>alert(1)</script><img src=x>"
    (folder / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    page = Page(build_report(folder))
    assert page.tags.count("script") == 1 and "img" not in page.tags
    assert "<img src=x>" in page.text


def test_an_ablation_and_an_evaluation_have_their_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tasks = ["--episodes", "2", "--difficulty", "easy", "--quiet"]
    assert answer(["ablate", "--ranker", "heuristic,none", "--out", "ab", *tasks]) == 0
    assert answer(["report", "ab", "--quiet"]) == 0
    page = Page(Path("ab/report.html").read_text(encoding="utf-8"))
    assert "none+rules: no difference shown in score." in page.text and page.references == []
    assert answer(["collect", "--env", "embedded", "--out", "ep", *tasks]) == 0
    assert (
        answer(["evaluate", "--episodes-from", "ep", "--ranker", "heuristic", "--json", "e.json", "--quiet"])
        == 0
    )
    assert answer(["report", "e.json", "--out", "e.html", "--quiet"]) == 0
    assert "heuristic" in Page(Path("e.html").read_text(encoding="utf-8")).text


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no ablation"):
        build_report(tmp_path)
    for text in ("{}", "[1]", "nonsense"):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(SchemaError, match=r"x\.json"):
            build_report(tmp_path / "x.json")
