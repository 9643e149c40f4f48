"""How far a ranker's probabilities can be trusted: reliability, risk and coverage, and being unsure."""

from collections.abc import Sequence

from agent.report import charts
from agent.report.document import Chart, Section, Table, number, text, with_interval
from agent.report.results import RankerResult, label_of

_HEADINGS = (
    ("source", ""),
    ("ranker", ""),
    ("unsure below", "the ranker is unsure if its first suspect is less likely than this"),
    ("answered", "scored cases in which it was not unsure"),
    ("coverage", "their share of all scored cases"),
    ("wrong when sure", "share of answered cases in which the first suspect is not a root cause"),
    ("wrong when unsure", "the same share of the other cases, had it answered"),
)


def calibration_section(results: Sequence[RankerResult]) -> Section:
    """Both plots and the table; empty if no ranker gives probabilities."""
    return Section(
        "Calibration",
        (
            "A probability is calibrated if suspects with 70 % are right 7 times in 10: a line on the "
            "diagonal. The second plot shows how far answering only the more confident cases reduces "
            "errors; the table shows it for the ranker's own limit of being unsure.",
        ),
        _charts(results),
        _abstention(results),
    )


def _abstention(results: Sequence[RankerResult]) -> Table | None:
    rows = tuple(
        (
            text(label_of(r.source)),
            text(r.ranker),
            number(own.unsure_below),
            number(own.answered, 0),
            number(own.coverage),
            with_interval(own.risk, own.ci95.get("risk")),
            number(own.risk_unsure),
        )
        for r in results
        if (own := r.abstention) is not None
    )
    return Table(_HEADINGS, rows) if rows else None


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
