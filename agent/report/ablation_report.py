"""The report on an ablation: what each part is worth, and the rankers by themselves."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from agent.benchmark.results import AblationResult, ArmMeans, ArmResult, Block
from agent.records.lines import Key
from agent.report import charts
from agent.report.comparisons import EPISODES, NAMES, comparison_section, summary
from agent.report.document import (
    Cell,
    Chart,
    Column,
    Report,
    Section,
    Table,
    is_missing,
    number,
    table_of,
    text,
    with_interval,
)
from agent.report.evaluation_report import ranking_points, ranking_sections
from agent.report.run_report import PlayedRun, replay_key, replays
from data.words import count

# Counts in `hint_use` and their labels.
_HINTS = {
    "followed_right": "followed a right hint",
    "overrode_wrong": "overrode a wrong hint",
    "overrode_right": "overrode a right hint",
    "followed_wrong": "followed a wrong hint",
    "rescued": "rescued by hints",
    "misled": "misled by hints",
}
_HINT_READING = (
    "The ranker's suspects at each episode's first remedy, where the root cause is known. In top k: a root "
    "cause was among the first k suspects (retrieval). Picked: the remedy was aimed at one (reranking). "
    "Rescued and misled compare with the same policy without hints in the same task."
)

_ARMS: tuple[Column[ArmResult], ...] = (
    ("arm", "ranker + policy", lambda a: text(a.arm)),
    ("episodes", "", lambda a: number(a.n, 0)),
    ("ungraded", "episodes without a grade", lambda a: number(a.ungraded, 0)),
    ("score", "mean grade, 0 to 1", lambda a: with_interval(a.score, a.ci95.get("score"))),
    ("solved", "share with 0.5 or more", lambda a: with_interval(a.solved, a.ci95.get("solved"))),
    ("steps", "", lambda a: number(a.steps, 1)),
    ("ticks to mitigation", "of the episodes that got there", lambda a: number(a.ticks_to_mitigation, 1)),
    ("wrong remedies", "sent to healthy services, per episode", lambda a: number(a.wrong_remedies)),
    ("SLO budget left", "in percent", lambda a: number(a.slo_budget_left, 1)),
    (
        "AC@1 at first",
        "share of first rankings with a root cause first",
        lambda a: number(a.first_ranking.ac1),
    ),
    ("AC@3 at first", "share with one among the first three", lambda a: number(a.first_ranking.ac3)),
    ("fallbacks", "share of steps decided by the rules for the model", lambda a: number(a.fallback_rate)),
    ("tokens", "per episode", lambda a: number(a.tokens, 0)),
    ("US$", "per episode", lambda a: number(a.cost_usd, 4)),
    ("seconds", "per episode", lambda a: number(a.seconds)),
)
_REPLAYED = 6  # tasks of an ablation that are shown step by step


def ablation_report(title: str, result: AblationResult, runs: Mapping[str, PlayedRun]) -> Report:
    """The report on one ablation."""
    telling = _most_different(result.values.episodes, _REPLAYED)
    arms = [section for section in (_arms(result), _hints(result.arms)) if section is not None]
    compared = [comparison_section(result.comparisons)] if result.comparisons else []
    tasks = [_tasks(result.values.episodes, telling if runs else ())] if result.arms else []
    config = {name: str(value) for name, value in result.config.items() if isinstance(value, (int, str))}
    return Report(
        title=title,
        kind="Ablation",
        lead=_lead(result),
        points=tuple(_points(result)),
        sections=(*arms[:1], *compared, *arms[1:], *ranking_sections(result.results), *tasks),
        replays=tuple(
            replay
            for arm, run in runs.items()
            for replay in replays(run.episodes, run.folder.steps(telling), f"{arm}: ")
        ),
        facts={
            **config,
            "machine": ", ".join(map(str, result.machine.values())),
            "revision": str(result.git),
        },
    )


def _lead(result: AblationResult) -> str:
    if not result.arms:
        rankers = {entry.ranker for entry in result.results}
        return f"{count(len(rankers), 'ranker')} on the same cases; no episodes were played."
    first = result.arms[0]
    return (
        f"{count(len(result.arms), 'arm')} on the same {count(first.n, 'episode')}. "
        f"The first, {first.arm}, {_came_to(first)}. What replacing its parts changed:"
    )


def _came_to(arm: ArmResult) -> str:
    if is_missing(arm.score):
        return "got no score"
    return f"reached a mean score of {arm.score:.2f} and solved {arm.solved:.0%}"


def _points(result: AblationResult) -> Iterable[str]:
    yield from summary([c for c in result.comparisons if c.of == EPISODES and c.measure == "score"])
    for arm in result.arms:
        if arm.ungraded:
            yield f"{arm.arm}: {arm.ungraded} of {arm.n} ended without a grade and are left out of its means."
        used = arm.hint_use
        if "llm" in arm.decisions and used.get("hinted"):
            told = ", ".join(f"{label} {used[name]}" for name, label in _HINTS.items() if used.get(name))
            hinted = count(used["hinted"], "first remedy", "first remedies")
            yield f"{arm.arm}, of {hinted} with a hint: {told}."
    sources = {entry.source for entry in result.results}
    yield from summary([c for c in result.comparisons if c.of in sources and c.measure == "ac@1"])
    if not result.arms:
        yield from ranking_points(result.results)


def _arms(result: AblationResult) -> Section | None:
    if not result.arms:
        return None
    return Section("Arms", charts=(_arms_chart(result.arms),), table=table_of(result.arms, _ARMS))


def _arms_chart(arms: Sequence[ArmResult]) -> Chart:
    rows = [
        {
            "name": arm.arm,
            "measure": NAMES[measure],
            "tasks": group,
            "value": getattr(means, measure),
            "low": bounds[0],
            "high": bounds[1],
            "n": means.n,
        }
        for measure in NAMES
        if measure in type(arms[0]).model_fields
        for arm in arms
        for group, means in _groups(arm).items()
        for bounds in [means.ci95.get(measure, (None, None))]
        if not is_missing(getattr(means, measure))
    ]
    description = f"Each arm's mean, with its 95 % interval where there is one; {arms[0].arm} is in colour."
    choices = {"measure": "measure ", "tasks": "tasks "}
    return charts.dots(rows, "mean", choices, description, reference=arms[0].arm)


def _groups(arm: ArmResult) -> Mapping[str, ArmMeans]:
    return {
        "all": arm,
        **arm.by_difficulty,
        **{f"fault {fault}": means for fault, means in arm.by_fault.items()},
        **{f"{services} services": means for services, means in arm.by_services.items()},
    }


def _hints(arms: Sequence[ArmResult]) -> Section | None:
    hinted = [arm for arm in arms if arm.hint_use.get("hinted")]
    if not hinted:
        return None
    bars = [
        {"name": arm.arm, "kind": label, "place": place, "value": arm.hint_use[name]}
        for arm in hinted
        for place, (name, label) in enumerate(list(_HINTS.items())[:4])
        if arm.hint_use.get(name)
    ]
    kinds = list(_HINTS.values())[:4]
    chart = charts.shares(bars, "episodes", kinds, "What became of the first suspect at the first remedy.")
    return Section("Use of the hints", (_HINT_READING,), (chart,), table_of(hinted, _HINT_COLUMNS))


def _share(part: str, whole: str) -> Callable[[ArmResult], Cell]:
    def cell(arm: ArmResult) -> Cell:
        used = arm.hint_use
        return number(used[part] / used[whole] if part in used and used.get(whole) else None)

    return cell


def _hint_count(name: str) -> Callable[[ArmResult], Cell]:
    return lambda arm: number(arm.hint_use.get(name), 0)


_HINT_COLUMNS: tuple[Column[ArmResult], ...] = (
    ("arm", "", lambda arm: text(arm.arm)),
    ("hinted", "episodes with a hint at the first remedy", _hint_count("hinted")),
    ("in top 1", "share with a root cause as first suspect", _share("in_top_1", "hinted")),
    ("in top 3", "share with one among three", _share("in_top_3", "hinted")),
    ("in top 5", "share with one among five", _share("in_top_5", "hinted")),
    ("picked", "share of first remedies aimed at a root cause", _share("picked", "remedied")),
    *((label, "", _hint_count(name)) for name, label in _HINTS.items()),
    (
        "steps decided by",
        "",
        lambda arm: text(", ".join(f"{s} {n}" for s, n in sorted(arm.decisions.items()))),
    ),
)


def _most_different(episodes: Block, at_most: int) -> list[Key]:
    """The tasks on which the arms' scores differ most."""
    spread = {}
    for key, scores in _scores(episodes).items():
        known = [score for score in scores if not is_missing(score)]
        if known:
            spread[key] = max(known) - min(known)
    return sorted(spread, key=lambda key: (-spread[key], key))[:at_most]


def _tasks(episodes: Block, replayed: Sequence[Key]) -> Section:
    """The score of every arm on every task; a click on a task replays it with the first arm."""
    arms = list(episodes.values)
    note = (
        f"The {len(replayed)} tasks on which the arms differ most can be replayed below."
        if replayed
        else "Saved without steps, so none of them can be replayed."
    )
    rows = tuple(
        (
            text(key[0], replay_key(key, f"{arms[0]}: ") if key in replayed else None),
            Cell(str(key[1]), float(key[1]), True),
            *map(number, scores),
        )
        for key, scores in _scores(episodes).items()
    )
    headings = (("task", ""), ("seed", ""), *((arm, "score") for arm in arms))
    return Section("Scores by task", (note,), table=Table(headings, rows))


def _scores(episodes: Block) -> dict[Key, list[float]]:
    columns = [measures["score"] for measures in episodes.values.values()]
    return {key: list(scores) for key, *scores in zip(episodes.keys, *columns, strict=True)}
