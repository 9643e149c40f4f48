"""The report on two runs: what changed, task by task, and whether it is significant."""

import math
from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean
from typing import Any

from agent.benchmark.results import Comparison
from agent.benchmark.statistics import compare_pairs, corrected, topology_of
from agent.records.lines import EpisodeLine, Key, StepLine
from agent.report import charts
from agent.report.comparisons import comparison_in_words, comparison_section
from agent.report.document import Chart, Report, Section, Table, number, text
from agent.report.run_report import PlayedRun, replay_key, replays
from data.words import count

Steps = Mapping[Key, Sequence[StepLine]]
Episodes = Mapping[Key, EpisodeLine]

_HEADINGS = (
    ("task", ""), ("seed", ""), ("score A", ""), ("score B", ""), ("B minus A", ""), ("steps A", ""),
    ("steps B", ""), ("first difference", "the first step with different actions"),
)  # fmt: skip


def two_runs_report(first: PlayedRun, second: PlayedRun) -> Report:
    """The report on how `second` (B) differs from `first` (A) on the tasks that both played."""
    a, b = ({e.key: e for e in run.episodes} for run in (first, second))
    shared = [key for key in a if key in b]
    steps = first.folder.steps(shared), second.folder.steps(shared)
    differing = {key for key in shared if a[key].score != b[key].score} or set(shared)
    comparisons = _compared(a, b, steps[0])
    return Report(
        title=f"{first.name} against {second.name}",
        kind="Two runs",
        lead=f"A is {first.name} ({first.ranker}+{first.policy}): {_came_to(a, shared)}. "
        f"B is {second.name} ({second.ranker}+{second.policy}): {_came_to(b, shared)}. "
        f"{count(len(shared), 'task')} in both, {len(a) + len(b) - 2 * len(shared)} in one alone.",
        points=tuple(map(comparison_in_words, comparisons)),
        sections=(
            Section(
                "Task by task", charts=_chart(a, b, shared), table=_table(a, b, shared, steps, differing)
            ),
            comparison_section(comparisons),
        ),
        replays=tuple(
            replay
            for run, played, letter in ((first, steps[0], "A"), (second, steps[1], "B"))
            for replay in replays(
                run.episodes, {key: played[key] for key in played if key in differing}, f"{letter}: "
            )
        ),
        facts=_facts(first.facts, second.facts),
    )


def _facts(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, str]:
    """The facts about both runs, with both values where they differ."""
    return {
        name: a[name] if a.get(name) == b.get(name) else f"A: {a.get(name, '–')}, B: {b.get(name, '–')}"
        for name in {**a, **b}
    }


def _compared(a: Episodes, b: Episodes, steps: Steps) -> Sequence[Comparison]:
    clusters: dict[Hashable, str] = {
        key: topology_of(played[0].observation.call_graph) for key, played in steps.items()
    }
    return corrected(
        [
            compare_pairs(
                measure, ("A", _values(a, measure)), ("B", _values(b, measure)), clusters, binary=is_binary
            )
            for measure, is_binary in (("score", False), ("solved", True))
        ]
    )


def _values(episodes: Episodes, measure: str) -> dict[Hashable, float]:
    """The measure in every task; NaN if not graded."""
    field = {"score": "score", "solved": "success"}[measure]
    return {key: math.nan if e.score is None else float(getattr(e, field)) for key, e in episodes.items()}


def _came_to(episodes: Episodes, keys: Sequence[Key]) -> str:
    graded = [score for key in keys if (score := episodes[key].score) is not None]
    solved = sum(episodes[key].success for key in keys)
    return f"mean score {fmean(graded):.2f}, {solved} solved" if graded else "no task graded"


def _chart(a: Episodes, b: Episodes, keys: Sequence[Key]) -> tuple[Chart, ...]:
    points: list[dict[str, Any]] = [
        {"name": key[0], "first": a[key].score, "second": b[key].score}
        for key in keys
        if a[key].score is not None and b[key].score is not None
    ]
    description = "One dot per task: above the dashed line B scored higher."
    return (charts.against_each_other(points, "A", "B", description),) if points else ()


def _table(
    a: Episodes,
    b: Episodes,
    keys: Sequence[Key],
    steps: tuple[Steps, Steps],
    replayed: set[Key],
) -> Table:
    rows = []
    for key in keys:
        before, after = a[key].score, b[key].score
        change = None if before is None or after is None else after - before
        rows.append(
            (
                text(key[0], replay_key(key, "B: ") if key in replayed else None),
                number(key[1], 0),
                number(before),
                number(after),
                number(change, sign=True),
                number(a[key].steps, 0),
                number(b[key].steps, 0),
                text(_parting(steps[0].get(key, ()), steps[1].get(key, ()))),
            )
        )
    return Table(_HEADINGS, tuple(rows))


def _parting(first: Sequence[StepLine], second: Sequence[StepLine]) -> str:
    for a, b in zip(first, second, strict=False):
        if a.action != b.action:
            return f"step {a.step}: A {a.action}, B {b.action}"
    return "the same actions throughout"
