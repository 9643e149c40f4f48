"""`firewatch evaluate`: scores rankers on stored episodes or incidents."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

from agent.benchmark.arms import RankerSpec
from agent.benchmark.scoring import ScoredRanker, score_shared
from agent.benchmark.worker import ranker_of
from agent.cli.command import command
from agent.cli.console import is_stdout, note, text_table, wide_console, write_json
from agent.cli.progress import job_bar
from agent.cli.sources import tell_unmapped, tell_unused, unmapped_in
from agent.play.workers import worker_pool
from agent.records.provenance import git_revision
from agent.terminal_text import printable
from data.errors import SettingsError
from data.labels import read_labels
from data.options import Cases, Common, WorkerOptions, option
from gnn.baselines.rcaeval import METHODS, their_ranker
from gnn.checkpoint import channel_map_for, read_card
from gnn.evaluation.evaluate import Source, sources_of
from gnn.evaluation.metrics import MEASURES, score_ranking
from gnn.evaluation.rcaeval import score_as_rcaeval
from gnn.evaluation.results import EvaluationResult, RankerResult
from gnn.options import Weights
from gnn.registry import RANKERS, weights_folder
from gnn.seen import mark_of


class EvaluateOptions(Common, WorkerOptions, Weights, Cases):
    """The rankers, and what to score them on."""

    rankers: tuple[str, ...] = option(
        ("gnn",),
        f"One or more of {', '.join(RANKERS)}.",
        name="--ranker",
        metavar="NAME[,NAME…]",
        separated=True,
    )
    protocol: Literal["firewatch", "rcaeval"] = option(
        "firewatch", "rcaeval: AC@k and Avg@5 as RCAEval counts them, for comparison with its figures."
    )


_TICKS = ("0", "1", "3")
_HEADINGS = ("source", "ranker", "n", "unscored", *(title for title, _ in MEASURES.values()), "ECE", "ms")


@command(EvaluateOptions)
def evaluate(asked: EvaluateOptions) -> int:
    """Scores one or more rankers: AC@1, AC@3, AC@5, Avg@5, MRR and calibration, with intervals.

    With --protocol rcaeval, RCAEval's own baselines are scored, too (extra rcaeval). All of its cases:
    firewatch evaluate --incidents RE1 --incidents RE2 --incidents RE3 --protocol rcaeval

    [dim]Example:[/dim] firewatch evaluate --episodes-from episodes/test --ranker gnn,heuristic
    """
    channel_map = channel_map_for(asked.rules, [asked.checkpoint] if asked.checkpoint else ())
    ranker_of.cache_clear()  # files may have changed since the last call in this process
    rankers = [_ours(name, asked) for name in asked.rankers]
    if asked.protocol == "rcaeval":
        rankers += _theirs(asked.quiet)
    known = read_labels(asked.labels) if asked.labels else {}
    sources = sources_of(asked, known, asked.seed)
    if not rankers or not sources:
        raise SettingsError(
            "nothing to score: name a --ranker, and --episodes-from, --incidents or --simulate"
        )
    cases = [case for source in sources for case in source.cases]
    tell_unused(known, (case.cluster for case in cases), asked.quiet)
    _tell_strangers(sources, asked.quiet)
    _tell_seen(asked.rankers, asked.checkpoint, sources, asked.quiet)
    unmapped = unmapped_in((case.incident for case in cases), channel_map)
    tell_unmapped(unmapped, asked.quiet)
    score = score_as_rcaeval if asked.protocol == "rcaeval" else score_ranking
    with worker_pool(asked.jobs, asked.ray) as pool, job_bar(asked.quiet) as on_progress:
        results = score_shared(pool, rankers, sources, score, asked.seed, on_progress)
    if not asked.quiet and not is_stdout(asked.json_to):
        wide_console().print(text_table(_HEADINGS, map(_row, results)))
        _show_ticks(results)
        _show_abstention(results)
    config = asked.model_dump(mode="json")
    facts = {"config": config, "unmapped_metrics": unmapped, "git": git_revision()}
    write_json(asked.json_to, EvaluationResult(results=results, **facts).record())
    if asked.json_to is not None and not is_stdout(asked.json_to):
        note(f"Plots: firewatch report {asked.json_to}", asked.quiet)
    return 0


def _ours(name: str, asked: EvaluateOptions) -> ScoredRanker:
    """One of our rankers; made once here, so that errors show early."""
    make = partial(ranker_of, RankerSpec(name, asked.checkpoint), asked.seed, asked.rules)
    weights = weights_folder(name, asked.checkpoint)
    return ScoredRanker(make().name, str(weights) if weights else None, make)


def _theirs(quiet: bool) -> list[ScoredRanker]:
    """RCAEval's own baselines, if its package is installed."""
    try:
        return [
            ScoredRanker(their_ranker(method).name, None, partial(their_ranker, method)) for method in METHODS
        ]
    except SettingsError as missing:
        note(f"RCAEval's own baselines are left out: {missing}", quiet)
        return []


def _tell_strangers(sources: Sequence[Source], quiet: bool) -> None:
    """Warns of root causes that are not services of their incident."""
    found = [
        (case.incident.incident_id, strangers[0])
        for case in chain.from_iterable(source.cases for source in sources)
        if (strangers := [root for root in case.incident.root_causes if root not in case.incident.services])
        and case.tick == 0
    ]
    if found:
        which = " of ".join(f"'{printable(name)}'" for name in reversed(found[0]))
        note(
            f"Root causes that are not services of their incident: {len(found)}, such as {which}; "
            "they count as missed",
            quiet,
        )


def _tell_seen(
    rankers: Sequence[str], checkpoint: Path | None, sources: Sequence[Source], quiet: bool
) -> None:
    """Warns of rankers that were trained on some of the incidents."""
    trained = {name: weights_folder(name, checkpoint) for name in rankers if name != "untrained"}
    known = {name: set(read_card(folder).seen) for name, folder in trained.items() if folder}
    if not any(known.values()):
        return
    marks = {mark_of(case.incident) for source in sources for case in source.cases}
    for name, seen in known.items():
        if shared := len(marks & seen):
            note(
                f"'{name}' was trained with {shared} of these {len(marks)} cases: its scores on them say "
                "nothing about new incidents",
                quiet,
            )


def _row(result: RankerResult) -> tuple[str, ...]:
    low, high = result.ci95["ac@1"]
    interval = "" if math.isnan(low) else f" [{low:.3f}, {high:.3f}]"
    rest = (_figure(result.value(name)) for name in (*list(MEASURES)[1:], "ece"))
    return (
        result.source,
        result.ranker,
        str(result.n),
        str(result.unscored),
        _figure(result.ac1) + interval,
        *rest,
        _figure(result.ms_per_ranking),
    )


def _show_ticks(results: Sequence[RankerResult]) -> None:
    """Shows AC@1 and AC@3 at the first observations of episodes."""
    rows = [
        (
            result.source,
            result.ranker,
            *(
                f"{_figure(at.ac1)} / {_figure(at.ac3)}" if (at := result.by_tick.get(tick)) else "–"
                for tick in _TICKS
            ),
        )
        for result in results
        if len(result.by_tick) > 1
    ]
    if rows:
        headings = ("source", "ranker", *(f"AC@1 / AC@3 at {tick}" for tick in _TICKS))
        wide_console().print(text_table(headings, rows))


def _show_abstention(results: Sequence[RankerResult]) -> None:
    """Shows how often rankers are sure, and how often they are wrong then."""
    rows = [
        (
            result.source,
            result.ranker,
            *map(_figure, (own.unsure_below, own.coverage, own.risk, own.risk_unsure)),
        )
        for result in results
        if (own := result.abstention)
    ]
    if rows:
        headings = ("source", "ranker", "unsure below", "coverage", "wrong when sure", "wrong when unsure")
        wide_console().print(text_table(headings, rows))


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
