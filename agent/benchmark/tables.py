"""What an ablation's result says, in words and tables; every table of the README comes from here."""

import re
from collections.abc import Mapping, Sequence
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
    """A heading a column and rows of cells, all of them text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(result: Result) -> dict[str, TextTable]:
    """Every table that the result has something for, by name; without pairs only of the ranking."""
    made = {
        "ranking-at-a-glance": _ranking_at_a_glance(result),
        "ranking-of-the-shipped": _ranking_of_the_shipped(result),
    }
    if "values" in result:
        made |= _paired(result)
    return {name: table for name, table in made.items() if table.rows}


def _paired(result: Result) -> dict[str, TextTable]:
    """What an ablation has beside the ranking."""
    return {
        "ranking": _ranking(result),
        "ranking-by-observation": _by(result, "by_tick", _OBSERVATIONS, "observation {}"),
        "ranking-by-difficulty": _by(result, "by_difficulty", _DIFFICULTIES, "{}"),
        "ranking-comparisons": _comparisons([c for c in result["comparisons"] if c["of"] != "episodes"]),
        "episodes": _episodes(result),
        "episodes-at-a-glance": _episodes_at_a_glance(result),
        "episodes-by-difficulty": _episodes_by_difficulty(result),
        "comparisons": _comparisons([c for c in result["comparisons"] if c["of"] == "episodes"]),
        "hints": _hints(result),
        "made-by": _made_by(result),
    }


def markdown(table: TextTable) -> str:
    """The table for a README or a pull request."""
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.headings)
    lines = [table.headings, ["---:" if all(map(_is_figure, c)) else "---" for c in columns], *table.rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in ("", "+", "-", "–", "<")


def rewrite(text: str, results: Mapping[str, Result]) -> str:
    """`text` with a fresh table between each `<!-- ablation:begin RESULT/TABLE -->` and its end.

    Args:
        text: such as the README.
        results: by the name that stands before the slash.

    Raises:
        SettingsError: there is no such result or table.
    """

    def fresh(match: re.Match[str]) -> str:
        result, _, table = match["name"].partition("/")
        known = tables(results[result]) if result in results else {}
        if table not in known:
            raise SettingsError(f"<!-- ablation:begin {match['name']} -->: there is no such result or table")
        return f"{match[1]}{markdown(known[table])}{match[4]}"

    return _MARKED.sub(fresh, text)


def result_in_words(result: Result) -> list[str]:
    """The comparisons of score and first rank, over all of a source, and what was left unscored."""
    whole = {"episodes", *(entry["source"] for entry in result["results"])}
    comparisons = [c for c in result["comparisons"] if c["of"] in whole]
    told = [_sentence(c) for c in comparisons if c["measure"] in ("score", "ac@1")]
    ungraded = sum(arm["ungraded"] for arm in result.get("arms", ()))
    unscored = sum(entry["unscored"] for entry in result["results"])
    if ungraded:
        told.append(f"{ungraded} episodes ended without a grade and are not part of the means.")
    if unscored:
        told.append(f"{unscored} rankings had no known root cause and are not part of the means.")
    return told


def _sentence(c: Mapping[str, Any]) -> str:
    what = "episode score" if c["measure"] == "score" else f"AC@1 on {c['of']}"
    if not c["n"]:
        return f"{c['arm']} against {c['reference']}, {what}: nothing that both were scored on."
    if c["verdict"] == "no difference shown":
        change = f"no difference shown ({_signed(c['difference'])} {_bounds(c['ci95'], signed=True)})"
    else:
        change = f"{c['verdict']} by {_figure(abs(c['difference']))} {_bounds(c['ci95'], signed=True)}"
    p = _p(c["p_holm"])
    return f"{c['arm']} against {c['reference']}, {what}: {change}, {c['n']} pairs, p {p} after Holm."


def _ranking(result: Result) -> TextTable:
    headings = (
        "source", "ranker", "scored", "unscored", "AC@1 [95 %]", "AC@3", "AC@5", "Avg@5", "MRR", "ECE",
        "chance AC@1", "lift", "ms",
    )  # fmt: skip
    rows = []
    for r in result["results"]:
        rest = (_figure(r[name]) for name in ("ac@3", "ac@5", "avg@5", "mrr", "ece"))
        rows.append(
            (
                r["source"],
                r["ranker"],
                str(r["n"]),
                str(r["unscored"]),
                _with_bounds(r, "ac@1"),
                *rest,
                _figure(r["chance"]["ac@1"]),
                _figure(r["lift"], 1),
                _figure(r["ms_per_ranking"], 1),
            )
        )
    return TextTable(headings, tuple(rows))


def _ranking_at_a_glance(result: Result) -> TextTable:
    """A row a ranker, a column a source."""
    measured = {(r["ranker"], r["source"]): r for r in result["results"]}
    rankers = dict.fromkeys(ranker for ranker, _ in measured)
    sources = dict.fromkeys(source for _, source in measured)
    rows = [
        (name, *(_first_and_third(measured.get((name, source))) for source in sources)) for name in rankers
    ]
    return TextTable(("AC@1 / AC@3", *sources), tuple(rows))


def _ranking_of_the_shipped(result: Result) -> TextTable:
    """How often the shipped rankers are right, with intervals, and when they say how sure they are."""
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


def _right_when_sure(sure: Mapping[str, Any]) -> str:
    """One minus the risk, and its bounds likewise."""
    if sure.get("risk") is None:
        return "–"
    low, high = sure["ci95"]["risk"]
    bounds = (None, None) if low is None or high is None else (1.0 - high, 1.0 - low)
    return f"{_figure(1.0 - sure['risk'])} {_bounds(bounds)}".strip()


def _by(result: Result, group: str, kinds: Sequence[str], heading: str) -> TextTable:
    """AC@1 and AC@3 of each kind of case."""
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


def _episodes(result: Result) -> TextTable:
    headings = (
        "arm", "episodes", "ungraded", "score [95 %]", "solved", "steps", "ticks to mitigation",
        "wrong remedies", "SLO budget left", "fallbacks", "tokens", "US $", "seconds",
    )  # fmt: skip
    rows = [
        (
            arm["arm"],
            str(arm["n"]),
            str(arm["ungraded"]),
            _with_bounds(arm, "score"),
            _percent(arm["solved"]),
            _figure(arm["steps"], 1),
            _figure(arm["ticks_to_mitigation"], 1),
            _figure(arm["wrong_remedies"], 2),
            _figure(arm["slo_budget_left"], 1),
            _percent(arm["fallback_rate"]),
            _figure(arm["tokens"], 0),
            _figure(arm["cost_usd"], 4),
            _figure(arm["seconds"], 2),
        )
        for arm in result.get("arms", ())
    ]
    return TextTable(headings, tuple(rows))


def _episodes_at_a_glance(result: Result) -> TextTable:
    """A row a ranker, a column a policy."""
    played = {(arm["ranker"], arm["policy"]): arm for arm in result.get("arms", ())}
    rankers = dict.fromkeys(ranker for ranker, _ in played)
    policies = dict.fromkeys(policy for _, policy in played)
    rows = [
        (name, *(_score_and_solved(played.get((name, policy))) for policy in policies)) for name in rankers
    ]
    return TextTable(("score [95 %], solved", *policies), tuple(rows))


def _score_and_solved(arm: Mapping[str, Any] | None) -> str:
    return "–" if arm is None else f"{_with_bounds(arm, 'score')}, {_percent(arm['solved'])}"


def _episodes_by_difficulty(result: Result) -> TextTable:
    arms = result.get("arms", ())
    present = [d for d in _DIFFICULTIES if any(d in arm["by_difficulty"] for arm in arms)]
    rows = [
        (
            arm["arm"],
            *(
                f"{_figure(means['score'])} / {_percent(means['solved'])}"
                if (means := arm["by_difficulty"].get(difficulty))
                else "–"
                for difficulty in present
            ),
        )
        for arm in arms
    ]
    return TextTable(("arm", *(f"score / solved, {d}" for d in present)), tuple(rows))


def _comparisons(comparisons: Sequence[Mapping[str, Any]]) -> TextTable:
    headings = (
        "arm", "against", "on", "measure", "pairs", "unscored", "difference [95 %]", "test", "p (Holm)",
        "effect", "verdict",
    )  # fmt: skip
    rows = [
        (
            c["arm"],
            c["reference"],
            c["of"],
            c["measure"],
            str(c["n"]),
            str(c["unscored"]),
            f"{_signed(c['difference'])} {_bounds(c['ci95'], signed=True)}".strip(),
            c["test"],
            _p(c["p_holm"]).removeprefix("= "),
            f"{_signed(c['effect'])} ({c['effect_name']})",
            c["verdict"],
        )
        for c in comparisons
    ]
    return TextTable(headings, tuple(rows))


def _hints(result: Result) -> TextTable:
    """Shares of the first remedies; misled and rescued are of those that were also played without hints."""
    headings = (
        "arm", "first remedies", "hint was right", "followed", "overrode", "followed a wrong one",
        "overrode a right one", "misled", "rescued", "root among 5", "remedied the root", "of those among 5",
    )  # fmt: skip
    rows = []
    for arm in result.get("arms", ()):
        use = arm["hint_use"]
        if not use["hinted"]:
            continue
        right = use["followed_right"] + use["overrode_right"]
        rows.append(
            (
                arm["arm"],
                str(use["hinted"]),
                _share(right, use["hinted"]),
                _share(use["followed"], use["hinted"]),
                _share(use["overrode"], use["hinted"]),
                _share(use["followed_wrong"], use["hinted"] - right),
                _share(use["overrode_right"], right),
                _share(use["misled"], use["paired"]),
                _share(use["rescued"], use["paired"]),
                _share(use["in_top_5"], use["hinted"]),
                _share(use["picked"], use["remedied"]),
                _share(use["picked_in_top_5"], use["in_top_5"]),
            )
        )
    return TextTable(headings, tuple(rows))


def _made_by(result: Result) -> TextTable:
    tasks, machine = result["config"]["tasks"], result["machine"]
    names = {task["task_id"] or (task["difficulty"], task["seed"]) for task in tasks}
    rows = [
        (
            "tasks",
            f"{len(names)}, with all seeds {len(tasks)}",
        ),
        ("revision", _revision(result["git"])),
        ("machine", f"{machine['system']} {machine['processor']}, {machine['cores']} cores"),
        *((f"weights of {name}", digest[:12]) for name, digest in result["weights_sha256"].items()),
    ]
    return TextTable(("what", "value"), tuple(rows))


def _revision(git: str | None) -> str:
    """The commit, short, and whether the tree differed from it."""
    commit, _, changes = (git or "unknown").partition("+")
    return f"{commit[:12]} with {changes}" if changes else commit[:12]


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _share(count: int, total: int) -> str:
    return "–" if not total else f"{count / total:.0%}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _bounds(bounds: Sequence[float | None], *, signed: bool = False) -> str:
    low, high = bounds
    if low is None or high is None:
        return ""
    return f"[{low:+.3f}, {high:+.3f}]" if signed else f"[{low:.3f}, {high:.3f}]"


def _with_bounds(measures: Mapping[str, Any], name: str) -> str:
    return f"{_figure(measures[name])} {_bounds(measures['ci95'].get(name, (None, None)))}".strip()
