"""Scores rankers on episodes and incidents, in the form of `evaluate --json`."""

import math
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from data.episodes import FORM, Episode, is_recording, read_episodes
from data.files import jsonl
from data.incident import Incident
from data.labels import KnownRoots, apply_labels, label_incidents
from data.options import Cases
from data.sources.files.reading import parts_of, read_incidents
from gnn.evaluation.metrics import (
    CaseScore,
    abstention,
    reliability,
    risk_coverage,
    score_ranking,
    summarise,
)
from gnn.evaluation.results import Abstention, Measures, RankerResult
from gnn.ranker import Ranker, Ranking

# Scores a ranking, given the number of services and the root causes.
Score = Callable[[Ranking, int, Collection[str]], CaseScore]

_SIZES = (10, 30, 100, 300, 1000)  # bounds of the groups by graph size


@dataclass(frozen=True)
class RankingCase:
    """One case to rank: an incident, or an episode up to one observation."""

    incident: Incident
    # For intervals: all observations of an episode belong together.
    cluster: str
    tick: int = 0
    difficulty: str = ""


@dataclass(frozen=True)
class Source:
    """Cases that are reported together."""

    name: str
    cases: tuple[RankingCase, ...]


@dataclass(frozen=True)
class ScoredCase:
    """The score of one ranker on a case."""

    case: RankingCase
    score: CaseScore
    seconds: float
    unsure: bool = False
    unsure_below: float | None = None  # as the ranker states it; None if it never is unsure


def episode_sources(path: Path, known: KnownRoots | None = None) -> tuple[Source, ...]:
    """The episodes under `path`, with one source per file.

    A folder of recorded traffic gives one source per policy, with catalogue and random tasks separate:
    "<folder>/catalogue.<policy>" and "<folder>/random.<policy>".

    Args:
        path: a file or a folder.
        known: root causes by task name, from a labels file; they override others.
    """
    grouped: dict[str, list[Episode]] = {}
    for file in parts_of(path):
        recorded = is_recording(list(islice(jsonl.read(file, FORM), 1)))
        for episode in apply_labels(read_episodes(file), known):
            kind = "catalogue" if episode.task.task_id else "random"
            name = str(path / f"{kind}.{episode.policy}" if recorded and path.is_dir() else file)
            grouped.setdefault(name, []).append(episode)
    return tuple(
        Source(name, tuple(case for episode in episodes for case in episode_cases(episode)))
        for name, episodes in grouped.items()
    )


def episode_cases(episode: Episode) -> tuple[RankingCase, ...]:
    """A case for each observation of the episode up to the first remedy; 0 is the one after the reset."""
    seen = episode.before_remedies
    roots = episode.labels.root_causes if episode.labels else ()
    fault = "+".join(episode.labels.fault_types) if episode.labels else ""
    return tuple(
        RankingCase(
            replace(
                Incident.from_observations(seen[: tick + 1], episode.task.name),
                root_causes=roots,
                fault=fault,
            ),
            cluster=episode.task.name,
            tick=tick,
            difficulty=episode.task.difficulty,
        )
        for tick in range(len(seen))
    )


def incident_sources(path: Path, known: KnownRoots | None = None) -> tuple[Source, ...]:
    """The incidents under `path`, with one source per file.

    Args:
        path: a file or a folder.
        known: root causes by incident id, from a labels file; they override others.
    """
    return tuple(
        incident_source(str(file), label_incidents(read_incidents(file), known or {}))
        for file in parts_of(path)
    )


def sources_of(asked: Cases, known: KnownRoots, seed: int = 0) -> tuple[Source, ...]:
    """All sources to score rankers on."""
    sources = [
        *chain.from_iterable(episode_sources(path, known) for path in asked.episodes_from),
        *chain.from_iterable(incident_sources(path, known) for path in asked.incidents),
    ]
    if asked.simulate:
        from data.simulator.batch.generate import simulate

        sources.append(incident_source(f"simulated/{seed}", simulate(asked.simulate, seed)))
    return tuple(sources)


def incident_source(name: str, incidents: Iterable[Incident]) -> Source:
    """`incidents` as one source."""
    return Source(name, tuple(RankingCase(incident, cluster=incident.incident_id) for incident in incidents))


def score_cases(
    ranker: Ranker, cases: Sequence[RankingCase], score: Score = score_ranking
) -> tuple[ScoredCase, ...]:
    """Ranks every case without its labels, and scores the rankings."""
    scored = []
    for case in cases:
        hidden = replace(case.incident, root_causes=(), fault="")
        started = time.perf_counter()
        ranking = ranker.rank(hidden)
        seconds = time.perf_counter() - started
        result = score(ranking, len(case.incident.services), case.incident.root_causes)
        scored.append(ScoredCase(case, result, seconds, ranking.unsure, ranking.unsure_below))
    return tuple(scored)


def result_of(
    source: str, ranker: str, checkpoint: str | None, scored: Sequence[ScoredCase], seed: int = 0
) -> RankerResult:
    """The measures with intervals, over all cases and by kind of case."""
    kept = [s.score for s in scored if s.score.is_scored]
    confidence, correct = [s.confidence for s in kept], [s.ac[0] for s in kept]
    milliseconds = [1000 * s.seconds for s in scored]
    return RankerResult(
        source=source,
        ranker=ranker,
        checkpoint=checkpoint,
        **dict(_measures(scored, seed)),
        by_tick=_grouped(scored, lambda case: str(case.tick), seed),
        by_difficulty=_grouped(scored, lambda case: case.difficulty, seed),
        by_fault=_grouped(scored, lambda case: case.incident.fault, seed),
        by_services=_grouped(scored, lambda case: _size(len(case.incident.services)), seed),
        reliability=reliability(confidence, correct),
        risk_coverage=risk_coverage(confidence, correct),
        abstention=_abstention(scored, seed),
        ms_per_ranking=statistics.median(milliseconds) if milliseconds else math.nan,
    )


def evaluate(
    rankers: Sequence[tuple[Ranker, str | None]], sources: Sequence[Source], seed: int = 0
) -> list[RankerResult]:
    """Scores every (ranker, checkpoint) on every source."""
    return [
        result_of(source.name, ranker.name, checkpoint, score_cases(ranker, source.cases), seed)
        for source in sources
        for ranker, checkpoint in rankers
    ]


def _measures(scored: Sequence[ScoredCase], seed: int) -> Measures:
    return summarise([s.score for s in scored], [s.case.cluster for s in scored], seed=seed)


def _abstention(scored: Sequence[ScoredCase], seed: int) -> Abstention | None:
    """None if the ranker never is unsure."""
    stated = next((s.unsure_below for s in scored if s.unsure_below is not None), None)
    if stated is None:
        return None
    right, clusters = [s.score.ac[0] for s in scored], [s.case.cluster for s in scored]
    return abstention(stated, [s.unsure for s in scored], right, clusters, seed=seed)


def _grouped(
    scored: Sequence[ScoredCase], key: Callable[[RankingCase], str], seed: int
) -> dict[str, Measures]:
    """The measures per kind of case; cases without a kind ("") are left out."""
    groups: dict[str, list[ScoredCase]] = {}
    for each in scored:
        if key(each.case):
            groups.setdefault(key(each.case), []).append(each)
    return {name: _measures(members, seed) for name, members in groups.items()}


def _size(n_services: int) -> str:
    lower = 1
    for upper in _SIZES:
        if n_services <= upper:
            return f"{lower}-{upper}"
        lower = upper + 1
    return f"{lower}-"
