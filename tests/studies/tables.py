"""Makes the tables of both READMEs from result files."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.errors import SettingsError

Result = Mapping[str, Any]

SHIPPED = ("gnn", "mlp")
_OBSERVATIONS = ("0", "1", "3", "5")
_DIFFICULTIES = ("easy", "medium", "hard")
_MARKED = re.compile(
    r"(<!-- ablation:begin (?P<name>\S+) -->\n)(?P<table>.*?)(<!-- ablation:end -->)", re.DOTALL
)


@dataclass(frozen=True)
class TextTable:
    """One heading per column, and rows of text cells."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table_of(result: Result, name: str) -> TextTable:
    """One of the tables, by its name.

    Raises:
        SettingsError: there is no such table, or the result has no data for it.
    """
    makers: Mapping[str, Callable[[Result], TextTable]] = {
        "ranking-at-a-glance": _ranking_at_a_glance,
        "ranking-of-the-shipped": _ranking_of_the_shipped,
        "ranking-against-the-control": _ranking_against_the_control,
        "ranking-by-observation": lambda r: _by(r, "by_tick", _OBSERVATIONS, "observation {}"),
        "ranking-by-difficulty": lambda r: _by(r, "by_difficulty", _DIFFICULTIES, "{}"),
        "episodes-at-a-glance": _episodes_at_a_glance,
    }
    if name not in makers or not (made := makers[name](result)).rows:
        raise SettingsError(f"table '{name}': there is no such table, or nothing for it")
    return made


def markdown(table: TextTable) -> str:
    """The table for a README or a pull request."""
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.headings)
    lines = [table.headings, ["---:" if all(map(_is_figure, c)) else "---" for c in columns], *table.rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in ("", "+", "-", "–", "<")


def rewrite(text: str, results: Mapping[str, Result]) -> str:
    """`text` with new tables between each `<!-- ablation:begin RESULT/TABLE -->` and its end.

    Args:
        text: for example the README.
        results: by name, as before the slash.

    Raises:
        SettingsError: there is no such result or table.
    """

    def fresh(match: re.Match[str]) -> str:
        result, _, table = match["name"].partition("/")
        if result not in results:
            raise SettingsError(f"<!-- ablation:begin {match['name']} -->: there is no such result")
        return f"{match[1]}{markdown(table_of(results[result], table))}{match[4]}"

    return _MARKED.sub(fresh, text)


def _ranking_at_a_glance(result: Result) -> TextTable:
    """One row per ranker, one column per source."""
    measured = {(r["ranker"], r["source"]): r for r in result["results"]}
    rankers = dict.fromkeys(ranker for ranker, _ in measured)
    sources = dict.fromkeys(source for _, source in measured)
    rows = [
        (name, *(_first_and_third(measured.get((name, source))) for source in sources)) for name in rankers
    ]
    return TextTable(("AC@1 / AC@3", *sources), tuple(rows))


def _ranking_of_the_shipped(result: Result) -> TextTable:
    """How often the shipped rankers are right, overall and when sure, with intervals."""
    headings = (
        "source", "ranker", "scored", "AC@1 [95 %]", "AC@3 [95 %]", "ECE", "sure of",
        "right when sure [95 %]",
    )  # fmt: skip
    rows = []
    for r in result["results"]:
        if r["ranker"] in SHIPPED and "abstention" in r:
            sure = r["abstention"] or {}
            rows.append(
                (
                    r["source"],
                    r["ranker"],
                    str(r["n"]),
                    _with_bounds(r, "ac@1"),
                    _with_bounds(r, "ac@3"),
                    _figure(r["ece"]),
                    _percent(sure.get("coverage")),
                    _right_when_sure(sure),
                )
            )
    return TextTable(headings, tuple(rows))


def _ranking_against_the_control(result: Result) -> TextTable:
    """How much more often the network is right than its graph-free control, on the same cases."""
    rows = []
    for c in result["comparisons"]:
        if (c["reference"], c["arm"], c["measure"]) == (*SHIPPED, "ac@1") and "," not in c["of"]:
            gain, low, high = (0.0 - value for value in (c["difference"], *reversed(c["ci95"])))
            rows.append((c["of"], str(c["n"]), f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]"))
    return TextTable(("source", "scored", "AC@1, network minus control [95 %]"), tuple(rows))


def _right_when_sure(sure: Mapping[str, Any]) -> str:
    """One minus the risk, with its interval."""
    if sure.get("risk") is None:
        return "–"
    low, high = sure["ci95"]["risk"]
    bounds = (None, None) if low is None or high is None else (1.0 - high, 1.0 - low)
    return f"{_figure(1.0 - sure['risk'])} {_bounds(bounds)}".strip()


def _by(result: Result, group: str, kinds: Sequence[str], heading: str) -> TextTable:
    """AC@1 and AC@3 per kind of case."""
    having = [r for r in result["results"] if r[group]]
    present = [kind for kind in kinds if any(kind in r[group] for r in having)]
    rows = [
        (r["source"], r["ranker"], *(_first_and_third(r[group].get(kind)) for kind in present))
        for r in having
    ]
    return TextTable(
        ("source", "ranker", *(f"AC@1 / AC@3, {heading.format(kind)}" for kind in present)), tuple(rows)
    )


def _first_and_third(measures: Mapping[str, Any] | None) -> str:
    return "–" if measures is None else f"{_figure(measures['ac@1'])} / {_figure(measures['ac@3'])}"


def _episodes_at_a_glance(result: Result) -> TextTable:
    """One row per ranker, one column per policy."""
    played = {(arm["ranker"], arm["policy"]): arm for arm in result.get("arms", ())}
    rankers = dict.fromkeys(ranker for ranker, _ in played)
    policies = dict.fromkeys(policy for _, policy in played)
    rows = [
        (name, *(_score_and_solved(played.get((name, policy))) for policy in policies)) for name in rankers
    ]
    return TextTable(("score [95 %], solved", *policies), tuple(rows))


def _score_and_solved(arm: Mapping[str, Any] | None) -> str:
    return "–" if arm is None else f"{_with_bounds(arm, 'score')}, {_percent(arm['solved'])}"


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _bounds(bounds: Sequence[float | None]) -> str:
    low, high = bounds
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def _with_bounds(measures: Mapping[str, Any], name: str) -> str:
    return f"{_figure(measures[name])} {_bounds(measures['ci95'].get(name, (None, None)))}".strip()
