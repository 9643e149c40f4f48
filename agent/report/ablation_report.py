"""The report on an ablation: what each part is worth, and the rankers by themselves."""

from collections.abc import Iterable, Mapping, Sequence

from agent.records.lines import Key
from agent.report import charts
from agent.report.comparisons import EPISODES, NAMES, comparison_section, summary
from agent.report.document import Cell, Chart, Report, Section, Table, number, text, with_interval
from agent.report.evaluation_report import ranking_points, ranking_sections
from agent.report.results import AblationResult, ArmMeans, ArmResult, EpisodeValues
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

_REPLAYED = 6  # tasks of an ablation that are shown step by step


def ablation_report(title: str, result: AblationResult, runs: Mapping[str, PlayedRun]) -> Report:
    """The report on one ablation.

    Args:
        title: the ablation's name.
        result: its figures.
        runs: the saved run folders, by arm.
    """
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
    if arm.score is None or arm.solved is None:
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
    return Section("Arms", charts=(_arms_chart(result.arms),), table=_arms_table(result.arms))


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
        if getattr(means, measure) is not None
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


def _arms_table(arms: Sequence[ArmResult]) -> Table:
    headings = (
        ("arm", "ranker + policy"),
        ("episodes", ""),
        ("ungraded", "episodes without a grade"),
        ("score", "mean grade, 0 to 1"),
        ("solved", "share with a score of 0.5 or more"),
        ("steps", ""),
        ("ticks to mitigation", "of the episodes that got there"),
        ("wrong remedies", "remedies sent to healthy services, per episode"),
        ("SLO budget left", "in percent"),
        ("AC@1 at first", "share of first rankings with a root cause on top"),
        ("AC@3 at first", "share with one among the first three"),
        ("fallbacks", "share of steps that the rules decided instead of the model"),
        ("tokens", "per episode"),
        ("US$", "per episode"),
        ("seconds", "per episode"),
    )
    rows = tuple(
        (
            text(arm.arm),
            number(arm.n, 0),
            number(arm.ungraded, 0),
            with_interval(arm.score, arm.ci95.get("score")),
            with_interval(arm.solved, arm.ci95.get("solved")),
            number(arm.steps, 1),
            number(arm.ticks_to_mitigation, 1),
            number(arm.wrong_remedies),
            number(arm.slo_budget_left, 1),
            number(arm.first_ranking.ac1),
            number(arm.first_ranking.ac3),
            number(arm.fallback_rate),
            number(arm.tokens, 0),
            number(arm.cost_usd, 4),
            number(arm.seconds),
        )
        for arm in arms
    )
    return Table(headings, rows)


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
    headings = (
        ("arm", ""),
        ("hinted", "episodes with a hint at the first remedy"),
        ("in top 1", "share with a root cause as first suspect"),
        ("in top 3", "share with one among three"),
        ("in top 5", "share with one among five"),
        ("picked", "share of first remedies aimed at a root cause"),
        *((label, "") for label in _HINTS.values()),
        ("steps decided by", ""),
    )
    rows = tuple(
        (
            text(arm.arm),
            number(arm.hint_use["hinted"], 0),
            *(_share(arm.hint_use, f"in_top_{k}", "hinted") for k in (1, 3, 5)),
            _share(arm.hint_use, "picked", "remedied"),
            *(number(arm.hint_use.get(name), 0) for name in _HINTS),
            text(", ".join(f"{source} {steps}" for source, steps in sorted(arm.decisions.items()))),
        )
        for arm in hinted
    )
    return Section("Use of the hints", (_HINT_READING,), (chart,), Table(headings, rows))


def _share(counts: Mapping[str, int], part: str, whole: str) -> Cell:
    return number(counts[part] / counts[whole] if part in counts and counts.get(whole) else None)


def _most_different(episodes: EpisodeValues, at_most: int) -> list[Key]:
    """The tasks on which the arms' scores differ most."""
    spread = {}
    for key, scores in _scores(episodes).items():
        known = [score for score in scores if score is not None]
        if known:
            spread[key] = max(known) - min(known)
    return sorted(spread, key=lambda key: (-spread[key], key))[:at_most]


def _tasks(episodes: EpisodeValues, replayed: Sequence[Key]) -> Section:
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


def _scores(episodes: EpisodeValues) -> dict[Key, list[float | None]]:
    columns = [measures["score"] for measures in episodes.values.values()]
    return {key: list(scores) for key, *scores in zip(episodes.keys, *columns, strict=True)}
