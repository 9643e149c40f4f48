"""Shows paired comparisons in words, as a table and as a plot."""

from collections.abc import Iterable, Sequence

from agent.benchmark.results import Comparison
from agent.report import charts
from agent.report.document import (
    Cell,
    Chart,
    Column,
    Section,
    figure,
    interval_text,
    is_missing,
    label_of,
    number,
    table_of,
    text,
)
from data.words import count
from gnn.evaluation.metrics import MEASURES

EPISODES = "episodes"  # a comparison of played episodes, rather than of rankings on a source
NAMES = {
    "score": "score",
    "solved": "share solved",
    "steps": "steps",
    "ticks_to_mitigation": "ticks to mitigation",
    "wrong_remedies": "wrong remedies",
    "slo_budget_left": "SLO budget left (%)",
    "fallback_rate": "fallback rate",
    "tokens": "tokens",
    "cost_usd": "US dollars",
    "seconds": "seconds",
    **{name: title for name, (title, _) in MEASURES.items()},
}
_NO_DIFFERENCE = "no difference shown"
# With fewer pairs neither test can give a p below 0.05: the smallest is 2 / 2^n.
_LEAST_PAIRS = 6
_READING = (
    "The same tasks under the same seeds, compared pair by pair: Wilcoxon's signed ranks, or McNemar's test "
    "where values are yes or no; p is after Holm's correction. Intervals are 95 % bootstrap that redraws "
    "whole call graphs. A difference is called shown only if the corrected p is below 0.05 and the interval "
    "excludes zero."
)


def summary(comparisons: Sequence[Comparison]) -> Iterable[str]:
    """The comparisons in one measure as sentences: first the differences shown, then the rest together."""
    yield from (comparison_in_words(c) for c in comparisons if c.verdict != _NO_DIFFERENCE)
    rest = [c for c in comparisons if c.verdict == _NO_DIFFERENCE]
    for reference in dict.fromkeys(c.reference for c in rest):
        alike = [c for c in rest if c.reference == reference]
        if len(alike) == 1:
            yield comparison_in_words(alike[0])
            continue
        arms = ", ".join(f"{c.arm} {number(c.difference, 3, sign=True).text}" for c in alike)
        what = NAMES.get(alike[0].measure, alike[0].measure)
        said = "Too few pairs to show a" if _too_few(alike[0]) else "No"
        shown = "" if _too_few(alike[0]) else " shown"
        yield f"{said} difference{shown} in {what} from {reference}: {arms} ({_pairs(alike[0])})."


def comparison_in_words(c: Comparison) -> str:
    """One comparison as a sentence."""
    what = NAMES.get(c.measure, c.measure) + ("" if c.of == EPISODES else f" on {label_of(c.of)}")
    if is_missing(c.difference):
        return f"{c.arm}: nothing to compare with {c.reference} in {what}."
    size = f"{figure(c.difference, 3, sign=True)} {interval_text(c.ci95, 3, sign=True)}".strip()
    if c.verdict == _NO_DIFFERENCE:
        if _too_few(c):
            return (
                f"{c.arm}: too few pairs to show a difference in {what} from {c.reference} "
                f"({size}, {_pairs(c)})."
            )
        return f"{c.arm}: no difference shown in {what} from {c.reference} ({size}, {_pairs(c)})."
    return f"{c.arm}: {c.verdict} {what} than {c.reference}, {size} ({_pairs(c)}, p {_p(c.p_holm)})."


def _too_few(c: Comparison) -> bool:
    return c.n < _LEAST_PAIRS


def _is_undecided(c: Comparison) -> bool:
    return c.verdict == _NO_DIFFERENCE and _too_few(c)


def _pairs(c: Comparison) -> str:
    needed = f"; {_LEAST_PAIRS} or more could" if _too_few(c) else ""
    return count(c.n, "pair") + (f", {c.unscored} unscored" if c.unscored else "") + needed


def comparison_section(comparisons: Sequence[Comparison]) -> Section:
    """The table and plot of all comparisons."""
    rows = [
        {
            "name": f"{c.arm} − {c.reference}",
            "measure": NAMES.get(c.measure, c.measure),
            "of": label_of(c.of),
            "value": c.difference,
            "low": c.ci95[0],
            "high": c.ci95[1],
            "n": c.n,
            "p": c.p_holm,
            "verdict": c.verdict,
        }
        for c in comparisons
        if not is_missing(c.difference)
    ]
    return Section("Compared in pairs", (_READING,), _plots(rows), table_of(comparisons, _COLUMNS))


def _plots(rows: Sequence[charts.Row]) -> tuple[Chart, ...]:
    """One plot for episodes and for each source, or a common one if each would have a single line."""
    by_source = {of: [row for row in rows if row["of"] == of] for of in dict.fromkeys(r["of"] for r in rows)}
    if all(len({row["name"] for row in own}) == 1 for own in by_source.values()) and len(by_source) > 1:
        by_source = {"each source": [{**row, "name": f"{row['of']}: {row['name']}"} for row in rows]}
    return tuple(
        charts.differences(
            own,
            f"difference, {of}",
            {"measure": "measure "},
            f"Differences in {of}, with 95 % intervals; grey where no difference is shown.",
        )
        for of, own in by_source.items()
    )


def _difference(c: Comparison) -> Cell:
    cell = number(c.difference, 3, sign=True)
    return Cell(f"{cell.text} {interval_text(c.ci95, 3, sign=True)}".strip(), cell.order, True)


def _cell_p(value: float) -> Cell:
    cell = number(value, 3)
    return Cell("< 0.001", cell.order, True) if value < 0.001 else cell


def _p(value: float) -> str:
    cell = _cell_p(value)
    return cell.text if cell.text.startswith("<") else f"= {cell.text}"


_COLUMNS: tuple[Column[Comparison], ...] = (
    ("of", "episodes played, or the source that was ranked", lambda c: text(label_of(c.of))),
    ("arm", "", lambda c: text(c.arm)),
    ("against", "the reference", lambda c: text(c.reference)),
    ("measure", "", lambda c: text(NAMES.get(c.measure, c.measure))),
    ("pairs", "scored on both sides", lambda c: number(c.n, 0)),
    ("unscored", "pairs with nothing to score on a side", lambda c: number(c.unscored, 0)),
    ("difference", "arm minus reference, and its 95 % interval", _difference),
    ("p", "after Holm's correction", lambda c: _cell_p(c.p_holm)),
    (
        "effect",
        "rank-biserial correlation, −1 to 1, or with McNemar's test Cohen's g, −0.5 to 0.5",
        lambda c: number(c.effect, sign=True),
    ),
    ("test", "", lambda c: text(c.test)),
    ("verdict", "", lambda c: text("too few pairs" if _is_undecided(c) else c.verdict)),
)
