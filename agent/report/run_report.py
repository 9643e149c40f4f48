"""The report on a run: its tasks, their results, and replays."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.records.lines import EpisodeLine, Key, StepLine
from agent.records.summary import headline, outcome
from agent.records.trajectory import RunFolder, read_config
from agent.report import charts
from agent.report.document import Cell, Chart, Column, Replay, Report, Section, number, table_of, text
from agent.report.replay import replay_of_run
from data.observation import DIFFICULTIES
from data.words import count, few

_NAMED = 5  # tasks named in a sentence


@dataclass(frozen=True)
class PlayedRun:
    """A run folder; its steps, which may be many, are read on demand."""

    folder: RunFolder
    episodes: Sequence[EpisodeLine]
    facts: Mapping[str, str]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.path.resolve().name

    @property
    def ranker(self) -> str:
        """The ranker's name."""
        return self.folder.config.ranker

    @property
    def policy(self) -> str:
        """The policy's name."""
        config = self.folder.config
        return config.policy if config.hints else f"{config.policy}-without-hints"


def read_run(path: Path, facts: Mapping[str, Any]) -> PlayedRun:
    """Reads the run in folder `path`."""
    folder = RunFolder(path, read_config(path), frozenset())
    shown = {
        name: value for name, value in facts.items() if not isinstance(value, dict) and value is not None
    }
    versions = facts.get("versions") or {}
    words = {name: str(value) for name, value in {**shown, **versions}.items()}
    return PlayedRun(folder, folder.episodes, words)


def run_report(run: PlayedRun) -> Report:
    """The report on one run."""
    steps = run.folder.steps()
    return Report(
        title=run.name,
        kind="Run",
        lead=headline(run.episodes),
        points=tuple(_points(run, steps)),
        sections=(
            Section("Tasks", charts=_score_chart(run.episodes), table=table_of(run.episodes, _COLUMNS)),
        ),
        replays=replays(run.episodes, steps),
        facts=run.facts,
    )


def replays(
    episodes: Sequence[EpisodeLine], steps: Mapping[Key, Sequence[StepLine]], prefix: str = ""
) -> tuple[Replay, ...]:
    """The replays of the episodes whose `steps` are given, the worst first."""
    worst_first = sorted(episodes, key=lambda e: -1.0 if e.score is None else e.score)
    return tuple(
        replay_of_run(episode, steps[key], replay_key(key, prefix), prefix)
        for episode in worst_first
        if (key := episode.key) in steps
    )


def replay_key(key: Key, prefix: str = "") -> str:
    """The key of a task's replay in the page."""
    return f"{prefix}{key[0]}#{key[1]}"


def _points(run: PlayedRun, steps: Mapping[Key, Sequence[StepLine]]) -> Iterable[str]:
    """What else a reader should know; unknown facts are left out."""
    told = [e for e in run.episodes if e.root_causes]
    if told:
        at_once = sum(e.ranked_first_at_step == 1 for e in told)
        yield (
            f"The ranker, {run.ranker}, put a root cause first at the first step in {at_once} of "
            f"{count(len(told), 'task')} whose root cause is known."
        )
        never = [e.task for e in told if e.remedied_at_step is None]
        if never:
            yield f"No root cause was ever remedied in {few(never, _NAMED)}."
    wrong = sum(e.wrong_actions for e in run.episodes)
    yield (
        f"{count(wrong, 'remedy was', 'remedies were')} sent to a healthy service."
        if wrong
        else "No remedy was sent to a healthy service."
    )
    reasons = Counter(
        step.why_not_model
        for played in steps.values()
        for step in played
        if step.prompt and step.why_not_model
    )
    if reasons:
        why = ", ".join(f"{reason} ({times})" for reason, times in reasons.most_common(3))
        steps_so = count(reasons.total(), "step")
        yield f"The model was asked, but the rules decided, in {steps_so}: {why}."
    unsolved = [e.task for e in run.episodes if e.error is None and not e.success]
    if unsolved:
        yield f"Not solved: {few(unsolved, _NAMED)}."
    failed = [f"{e.task} ({e.error})" for e in run.episodes if e.error is not None]
    if failed:
        yield f"Ended without a grade: {few(failed, _NAMED)}."


def _score_chart(episodes: Sequence[EpisodeLine]) -> tuple[Chart, ...]:
    rows = [
        {
            "name": e.task,
            "group": e.difficulty,
            "value": e.score,
            "solved": e.success,
            "outcome": outcome(e),
        }
        for difficulty in DIFFICULTIES
        for e in episodes
        if e.score is not None and e.difficulty == difficulty
    ]
    description = "Scores by difficulty: one dot per task, red if not solved."
    return (charts.strips(rows, "score", description),) if rows else ()


def _at(unit: str, value: int | None) -> Cell:
    cell = number(value, 0)
    return cell if value is None else Cell(f"{unit} {cell.text}", cell.order, True)


_COLUMNS: tuple[Column[EpisodeLine], ...] = (
    ("task", "", lambda e: text(e.task, replay_key(e.key))),
    ("outcome", "", lambda e: text(outcome(e))),
    ("score", "the environment's grade, 0 to 1; solved from 0.5 on", lambda e: number(e.score)),
    ("steps", "", lambda e: number(e.steps, 0)),
    ("root cause", "according to the environment", lambda e: text(", ".join(e.root_causes) or "unknown")),
    (
        "ranked first",
        "the first step at which the ranker put a root cause first",
        lambda e: _at("step", e.ranked_first_at_step),
    ),
    ("remedied", "the first step that remedied a root cause", lambda e: _at("step", e.remedied_at_step)),
    (
        "mitigated",
        "the tick at which users were no longer affected",
        lambda e: _at("tick", e.mitigated_at_tick),
    ),
    ("wrong remedies", "remedies sent to healthy services", lambda e: number(e.wrong_actions, 0)),
    ("tokens", "", lambda e: number(e.tokens["prompt"] + e.tokens["completion"], 0)),
    ("seconds", "", lambda e: number(e.seconds, 1)),
)
