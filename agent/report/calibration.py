"""How far a ranker's probabilities can be trusted: reliability, risk and coverage, and being unsure."""

from collections.abc import Sequence

from agent.report import charts
from agent.report.document import Chart, Column, Section, label_of, number, table_of, text, with_interval
from gnn.evaluation.results import Abstention, RankerResult

_COLUMNS: tuple[Column[tuple[RankerResult, Abstention]], ...] = (
    ("source", "", lambda of: text(label_of(of[0].source))),
    ("ranker", "", lambda of: text(of[0].ranker)),
    (
        "unsure below",
        "the ranker is unsure if its first suspect is less likely than this",
        lambda of: number(of[1].unsure_below),
    ),
    ("answered", "scored cases in which it was not unsure", lambda of: number(of[1].answered, 0)),
    ("coverage", "their share of all scored cases", lambda of: number(of[1].coverage)),
    (
        "wrong when sure",
        "share of answered cases in which the first suspect is not a root cause",
        lambda of: with_interval(of[1].risk, of[1].ci95.get("risk")),
    ),
    (
        "wrong when unsure",
        "the same share of the other cases, had it answered",
        lambda of: number(of[1].risk_unsure),
    ),
)


def calibration_section(results: Sequence[RankerResult]) -> Section:
    """Both plots and the table; empty if no ranker gives probabilities."""
    abstaining = [(r, r.abstention) for r in results if r.abstention is not None]
    return Section(
        "Calibration",
        (
            "A probability is calibrated if suspects with 70 % are right 7 times in 10: a line on the "
            "diagonal. The second plot shows how far answering only the more confident cases reduces "
            "errors; the table shows it for the ranker's own limit of being unsure.",
        ),
        _charts(results),
        table_of(abstaining, _COLUMNS) if abstaining else None,
    )


def _charts(results: Sequence[RankerResult]) -> tuple[Chart, ...]:
    claimed = [
        {
            "name": r.ranker,
            "source": label_of(r.source),
            "n": bar.n,
            "claimed": bar.confidence,
            "right": bar.accuracy,
        }
        for r in results
        for bar in r.reliability
    ]
    answered = [
        {"name": r.ranker, "source": label_of(r.source), "coverage": point.coverage, "risk": point.risk}
        for r in results
        for point in r.risk_coverage
    ]
    if not claimed:
        return ()
    choice = {"source": "source "}
    return (
        charts.lines(
            claimed,
            ("claimed", "claimed probability"),
            ("right", "share that was right"),
            choice,
            "Claimed against observed: calibrated on the dashed line, overconfident below it.",
            diagonal=True,
        ),
        charts.lines(
            answered,
            ("coverage", "share of cases answered, most confident first"),
            ("risk", "share of the answers that are wrong"),
            choice,
            "Wrong answers when only the most confident share of cases is answered.",
        ),
    )
