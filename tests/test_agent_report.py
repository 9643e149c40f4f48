"""Reports show the result files, need no other files, and escape quoted text."""

import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import networkx as nx
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli import answer
from agent.report import html
from agent.report.build import make_report
from agent.report.document import Report, Section, Table, number, text
from agent.report.html import render_html
from agent.report.layout import BOX, layered
from agent.report.markdown import render_markdown
from data.errors import SchemaError, SettingsError
from data.files import jsonl

TASKS = ("--episodes", "2", "--difficulty", "easy", "--quiet")


class Page(HTMLParser):
    """Collects tags, references and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of the same tasks, an ablation, an evaluation and stored episodes."""
    folder = tmp_path_factory.mktemp("results")
    played = ("--env", "embedded", "--policy", "rules")
    assert answer(["run", *played, "--ranker", "heuristic", "--out", str(folder / "run"), *TASKS]) == 0
    assert answer(["run", *played, "--ranker", "none", "--out", str(folder / "other"), *TASKS]) == 0
    ablation = ("--ranker", "heuristic,none", "--policy", "rules,legacy-rules", "--steps", "--jobs", "1")
    assert answer(["ablate", *ablation, "--out", str(folder / "ablation"), *TASKS]) == 0
    assert answer(["collect", "--env", "embedded", "--out", str(folder / "episodes"), *TASKS]) == 0
    ranked = ("--episodes-from", str(folder / "episodes"), "--ranker", "heuristic,zscore")
    assert answer(["evaluate", *ranked, "--json", str(folder / "evaluation.json"), "--quiet"]) == 0
    return folder


@pytest.mark.parametrize("name", ["run", "ablation", "evaluation.json", "episodes"])
def test_a_page_needs_nothing_beside_it_and_is_the_same_each_time(results: Path, name: str) -> None:
    page = render_html(make_report(results / name))
    outside = [link for link in Page(page).references if not link.startswith(("#", "data:"))]
    assert outside == [] and "@import" not in page and len(page.encode()) < 5_000_000
    assert page == render_html(make_report(results / name))


def test_a_run_shows_every_task_and_replays_every_step(results: Path) -> None:
    report = make_report(results / "run")
    episodes = [json.loads(line) for line in (results / "run/episodes.jsonl").read_text().splitlines()]
    page = Page(render_html(report))
    assert all(episode["task"] in page.text for episode in episodes)
    steps = sum(frame["step"] is not None for replay in report.replays for frame in replay.content["frames"])
    assert steps == sum(episode["steps"] for episode in episodes)
    assert [r.content["roots"] != [] for r in report.replays] == [True] * len(episodes)


def test_an_ablation_says_so_when_no_difference_is_shown(results: Path) -> None:
    report = make_report(results / "ablation")
    result = json.loads((results / "ablation/ablation.json").read_text())
    arms = [arm["arm"] for arm in result["arms"]]
    said = " ".join(report.points)
    assert all(arm in said for arm in arms)
    assert "higher" not in said and "lower" not in said  # two pairs show nothing
    assert report.replays and make_report(results / "ablation/ablation.json") == report


def test_an_ablation_without_kept_steps_or_without_episodes_is_reported_too(
    results: Path, tmp_path: Path
) -> None:
    shutil.copy(results / "ablation/ablation.json", tmp_path)
    report = make_report(tmp_path)
    assert report.replays == () and report.points == make_report(results / "ablation").points
    ranked = json.loads((tmp_path / "ablation.json").read_text())
    del ranked["arms"]
    (tmp_path / "ablation.json").write_text(json.dumps(ranked))
    assert "no episodes were played" in make_report(tmp_path).lead


def test_two_runs_are_compared_task_by_task(results: Path) -> None:
    report = make_report(results / "run", against=results / "other")
    table = report.sections[0].table
    assert table is not None and len(table.rows) == 2
    assert {replay.title[:2] for replay in report.replays} == {"A:", "B:"}
    same = make_report(results / "run", against=results / "run")
    assert all("too few pairs to show a difference" in point for point in same.points)
    assert same.sections[0].table is not None
    assert {row[-1].text for row in same.sections[0].table.rows} == {"the same actions throughout"}


def test_one_task_in_both_runs_has_a_difference_and_no_interval(tmp_path: Path) -> None:
    task = ("--env", "embedded", "--policy", "rules", "--task", "task_easy_oom_baseline", "--quiet")
    for ranker in ("heuristic", "none"):
        assert answer(["run", *task, "--ranker", ranker, "--out", str(tmp_path / ranker)]) == 0
    report = make_report(tmp_path / "heuristic", against=tmp_path / "none")
    specs = re.findall(r'<script type="application/json">(.*?)</script>', render_html(report), re.DOTALL)
    drawn = [
        json.loads(spec, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) for spec in specs
    ]
    rows = re.findall(r'"low":null,"high":null', specs[-1])
    assert rows and '"low":' not in specs[-1].replace('"low":null', "")
    picture = vl_convert.vegalite_to_svg({**drawn[-1], "width": 300})
    assert 'aria-roledescription="point"' in picture and 'aria-label="low: ' not in picture


def test_two_evaluations_show_what_changed(results: Path, tmp_path: Path) -> None:
    evaluation = json.loads((results / "evaluation.json").read_text())
    evaluation["results"][0]["ac@1"] = 0.125
    (tmp_path / "later.json").write_text(json.dumps(evaluation))
    report = make_report(results / "evaluation.json", against=tmp_path / "later.json")
    assert len(report.points) == 1 and "→ 0.12" in report.points[0]
    with pytest.raises(SettingsError, match="side by side"):
        make_report(results / "run", against=tmp_path / "later.json")


def test_recorded_traffic_can_be_stepped_through(shared: Path) -> None:
    recording = next(iter(sorted((shared / "firewatch/traffic").glob("*.rules.jsonl.gz"))))
    (replay,) = make_report(recording).replays
    assert replay.content["services"] and replay.content["frames"][0]["step"]["by"] == "rules"


def test_a_large_graph_is_drawn_around_what_matters(tmp_path: Path) -> None:
    names = [f"s{n:03}" for n in range(300)]
    seen = {
        "services": {name: {"http_server_error_rate": 0.9 if name == "s150" else 0.0} for name in names},
        "dependency_graph": {caller: [callee] for caller, callee in itertools.pairwise(names)},
    }
    episode = {
        "task": {"difficulty": "hard", "seed": 1, "max_ticks": 5},
        "source": "here",
        "policy": "nobody",
        "observations": [seen, seen],
        "actions": [{"action_type": "fetch_logs", "target_service": "s290"}],
        "feedback": ["nothing"],
        "labels": {"root_causes": ["s200"], "origin": "file"},
    }
    jsonl.append(tmp_path / "one.jsonl", episode)
    (replay,) = make_report(tmp_path / "one.jsonl").replays
    drawn = replay.content["services"]
    assert len(drawn) == 40 and {"s150", "s200", "s290"} <= set(drawn)
    assert "40 services of 300 drawn" in replay.content["left_out"]


def test_what_does_not_fit_is_counted(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "_ROOM_FOR_REPLAYS", 100)
    page = render_html(make_report(results / "run"))
    assert '<section id="replay">' not in page
    assert "2 episodes to step through did not fit" in Page(page).text


def test_markdown_has_the_words_and_tables_and_reads_no_markup(results: Path) -> None:
    for name in ("run", "ablation", "evaluation.json", "episodes"):
        lines = render_markdown(make_report(results / name)).splitlines()
        bars = [line.replace("\\|", "").count("|") for line in lines]
        tables = [set(widths) for is_table, widths in itertools.groupby(bars, key=bool) if is_table]
        assert tables and all(len(widths) == 1 for widths in tables)
    hostile = Report(
        "t", "Run", "<b>*x*|y</b>", sections=(Section("s", table=Table((("a", ""),), ((text("|"),),))),)
    )
    said = render_markdown(hostile)
    assert "<b>" not in said and "\\*x\\*\\|y" in said and "| \\| |" in said


def test_the_command_writes_beside_the_result_unless_told_otherwise(results: Path, tmp_path: Path) -> None:
    assert answer(["report", str(results / "run"), "--quiet"]) == 0
    assert (results / "run/report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    target = tmp_path / "deep/changes.md"
    options = ["--against", str(results / "other"), "--format", "md", "--out", str(target), "--quiet"]
    assert answer(["report", str(results / "run"), *options]) == 0
    assert target.read_text(encoding="utf-8").startswith("# Two runs: run against other")


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no ablation"):
        make_report(tmp_path)
    for content in ("{}", "[1]", "nonsense", '{"results": [{"source": 1}]}'):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(SchemaError, match=r"x\.json"):
            make_report(tmp_path / "x.json")


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_is_missing_is_a_dash_and_never_a_zero(value: float | None) -> None:
    assert (number(value).text, number(value).order) == ("–", None)
    assert number(-0.0004).text == "0.00" and number(-1.5, 1, sign=True).text == "−1.5"


GRAPHS = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefgh"), max_size=5))


@settings(max_examples=60, deadline=None)
@given(GRAPHS, st.permutations("abcdefgh"))
def test_a_layout_is_one_of_the_graph_and_not_of_its_order(
    calls: dict[str, list[str]], order: list[str]
) -> None:
    placed = layered("abcdefgh", calls)
    assert placed == layered(order, dict(reversed(calls.items())))
    corners = sorted(placed.corners.values())
    for (x, y), (other_x, other_y) in itertools.combinations(corners, 2):
        assert abs(x - other_x) >= BOX[0] or abs(y - other_y) >= BOX[1]
    assert all(x + BOX[0] <= placed.width and y + BOX[1] <= placed.height for x, y in corners)
    graph = nx.DiGraph([(caller, callee) for caller, callees in calls.items() for callee in callees])
    for caller, callee in graph.edges:
        in_a_circle = nx.has_path(graph, callee, caller)
        assert in_a_circle or placed.corners[caller][0] < placed.corners[callee][0]


def test_small_and_wide_graphs_have_a_layout() -> None:
    assert layered((), {}).corners == {}
    assert len(layered(("a",), {"a": ["a", "gone"]}).corners) == 1
    wide = [f"s{n}" for n in range(40)]
    assert len(set(layered(wide, {}).corners.values())) == 40
