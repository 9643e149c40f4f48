"""The report on an evaluation: how good rankers are, by source, observation, difficulty, fault and size."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence

from agent.report import charts
from agent.report.calibration import calibration_section
from agent.report.document import (
    Chart,
    Column,
    Report,
    Section,
    Table,
    figure,
    interval_text,
    is_missing,
    label_of,
    number,
    table_of,
    text,
    with_interval,
)
from data.words import count
from gnn.evaluation.metrics import MEASURES
from gnn.evaluation.results import EvaluationResult, Measures, RankerResult

_READING = (
    "AC@k is the share of cases in which a true root cause is among the first k suspects; ties count in "
    "expectation. Intervals are 95 % bootstrap over whole episodes. Unscored cases have no known root cause."
)


def evaluation_report(title: str, result: EvaluationResult) -> Report:
    """The report on one evaluation."""
    return Report(
        title=title,
        kind="Evaluation",
        lead=_lead(result.results),
        points=tuple(ranking_points(result.results)),
        sections=ranking_sections(result.results),
        facts={
            **{name: json.dumps(value) for name, value in result.config.items() if value not in (None, [])},
            "revision": result.git or "not known",
        },
    )


def ranking_sections(results: Sequence[RankerResult]) -> tuple[Section, ...]:
    """Tables and plots of rankers on sources; empty if nothing was ranked."""
    if not results:
        return ()
    sections = [
        Section("Rankers", (_READING,), (_measures_chart(results),), table_of(results, _COLUMNS)),
        Section("By kind of case", table=_groups_table(results)),
        Section("By observation", charts=_tick_chart(results)),
        calibration_section(results),
    ]
    return tuple(section for section in sections if section.charts or section.table)


def difference_report(
    title: str, before: tuple[str, EvaluationResult], after: tuple[str, EvaluationResult]
) -> Report:
    """Two evaluations side by side, for the rankers and sources in both."""
    earlier = {(r.source, r.ranker): r for r in before[1].results}
    pairs = [(earlier[key], r) for r in after[1].results if (key := (r.source, r.ranker)) in earlier]
    changes = [
        f"{new.ranker} on {label_of(new.source)}: AC@1 {figure(old.ac1)} → {figure(new.ac1)} "
        f"({figure(change, sign=True)})."
        for old, new in pairs
        if (change := new.ac1 - old.ac1) and not is_missing(change)
    ]
    headings: list[tuple[str, str]] = [("source", ""), ("ranker", ""), ("scored", "")]
    compared = list(MEASURES)[:3]
    for title_of, said in map(MEASURES.__getitem__, compared):
        difference = ("change", "after minus before; not a paired test")
        headings += [(f"{title_of} before", said), (f"{title_of} after", said), difference]
    rows = []
    for old, new in pairs:
        row = [text(label_of(new.source)), text(new.ranker), number(new.n, 0)]
        for name in compared:
            was, now = old.value(name), new.value(name)
            row += [number(was, 3), number(now, 3), number(now - was, 3, sign=True)]
        rows.append(tuple(row))
    return Report(
        title=title,
        kind="Two evaluations",
        lead=f"Before: {before[0]}. After: {after[0]}. {count(len(pairs), 'result')} in both, "
        f"{len(changes)} with a different AC@1.",
        points=tuple(changes[:12]),
        sections=(Section("Differences", table=Table(tuple(headings), tuple(rows))),),
    )


def _lead(results: Sequence[RankerResult]) -> str:
    rankers, sources = _names(r.ranker for r in results), _names(r.source for r in results)
    return (
        f"{count(len(rankers), 'ranker')} on {count(len(sources), 'source')}: "
        "how often does each put a true root cause first?"
    )


def ranking_points(results: Sequence[RankerResult]) -> Iterable[str]:
    """For each source the best ranker with its interval, and what guessing would give."""
    for source in _names(r.source for r in results):
        scored = [r for r in results if r.source == source and not is_missing(r.ac1)]
        if not scored:
            yield f"{label_of(source)}: nothing to score, no root cause is known."
            continue
        first, *others = sorted(scored, key=lambda r: -r.ac1)
        bounds = interval_text(first.ci95.get("ac@1"))
        chance = first.chance.get("ac@1", math.nan)
        then = ", ".join(f"{r.ranker} {r.ac1:.0%}" for r in others[:3])
        yield (
            f"{label_of(source)}: {first.ranker} is right in {first.ac1:.0%} of {count(first.n, 'case')}"
            + (f" {bounds}" if bounds else "")
            + (f"; then {then}" if then else "")
            + ("" if is_missing(chance) else f"; guessing gives {chance:.0%}")
            + (f"; {first.unscored} unscored" if first.unscored else "")
            + "."
        )


def _measures_chart(results: Sequence[RankerResult]) -> Chart:
    rows = [
        {
            "name": r.ranker,
            "source": label_of(r.source),
            "measure": title,
            "cases": group,
            "value": measures.value(measure),
            "low": bounds[0],
            "high": bounds[1],
            "chance": measures.chance.get(measure),
            "n": measures.n,
        }
        for r in results
        for group, measures in _groups(r).items()
        for measure, (title, _) in MEASURES.items()
        for bounds in [measures.ci95.get(measure, (None, None))]
    ]
    choices = {"source": "source ", "measure": "measure ", "cases": "cases "}
    description = "Each ranker with its 95 % interval; the grey mark is what a random order gives."
    return charts.dots(rows, "share of cases (MRR: mean of 1/rank)", choices, description)


def _groups_table(results: Sequence[RankerResult]) -> Table | None:
    groups = [(r, kind, m) for r in results for kind, m in _groups(r).items() if kind != "all"]
    return table_of(groups, _GROUP_COLUMNS) if groups else None


def _tick_chart(results: Sequence[RankerResult]) -> tuple[Chart, ...]:
    rows = [
        {"name": r.ranker, "source": label_of(r.source), "observation": int(tick), "value": m.ac1, "n": m.n}
        for r in results
        if len(r.by_tick) > 1
        for tick, m in r.by_tick.items()
    ]
    description = (
        "AC@1 at each observation; 0 is the first one after the reset. Hover shows how many episodes lasted."
    )
    axes = ("observation", "observation"), ("value", "AC@1")
    return (charts.lines(rows, *axes, {"source": "source "}, description),) if rows else ()


def _groups(result: RankerResult) -> Mapping[str, Measures]:
    """The measures of all cases and of each kind of case."""
    return {
        "all": result,
        **{f"observation {tick}": m for tick, m in result.by_tick.items()},
        **result.by_difficulty,
        **{f"fault {fault}": m for fault, m in result.by_fault.items()},
        **{f"{size} services": m for size, m in result.by_services.items()},
    }


def _lift(result: RankerResult) -> float | None:
    chance = result.chance.get("ac@1")
    return result.ac1 / chance if chance else None


def _names(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _measure(name: str) -> Column[RankerResult]:
    return *MEASURES[name], lambda r: number(r.value(name))


_COLUMNS: tuple[Column[RankerResult], ...] = (
    ("source", "", lambda r: text(label_of(r.source))),
    ("ranker", "", lambda r: text(r.ranker)),
    ("scored", "cases with a known root cause", lambda r: number(r.n, 0)),
    ("unscored", "cases without one", lambda r: number(r.unscored, 0)),
    (*MEASURES["ac@1"], lambda r: with_interval(r.ac1, r.ci95.get("ac@1"))),
    *map(_measure, list(MEASURES)[1:]),
    (
        "ECE",
        "how far claims are from what came true; 0 is perfect",
        lambda r: number(r.ece, 3),
    ),
    ("guessing", "AC@1 of a random order", lambda r: number(r.chance.get("ac@1"))),
    ("lift", "AC@1 divided by that of a random order", lambda r: number(_lift(r), 1, unit="×")),
    ("ms", "median time of one ranking", lambda r: number(r.ms_per_ranking)),
)
_GROUP_COLUMNS: tuple[Column[tuple[RankerResult, str, Measures]], ...] = (
    ("source", "", lambda of: text(label_of(of[0].source))),
    ("ranker", "", lambda of: text(of[0].ranker)),
    ("cases", "", lambda of: text(of[1])),
    ("scored", "", lambda of: number(of[2].n, 0)),
    (*MEASURES["ac@1"], lambda of: with_interval(of[2].ac1, of[2].ci95.get("ac@1"))),
    (*MEASURES["ac@3"], lambda of: number(of[2].ac3)),
    ("guessing", "AC@1 of a random order", lambda of: number(of[2].chance.get("ac@1"))),
)
