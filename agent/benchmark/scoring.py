"""Scores rankers on many cases, shared among workers."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

from agent.play.workers import Job, WorkerPool, run_jobs
from gnn.evaluation.evaluate import RankingCase, Score, ScoredCase, Source, result_of, score_cases
from gnn.evaluation.results import RankerResult
from gnn.ranker import Ranker

_CASES_A_JOB = 16


class ScoredRanker(NamedTuple):
    """A ranker by name, its checkpoint, and what makes it in a worker."""

    name: str
    checkpoint: str | None
    make: Callable[[], Ranker]


def score_shared(
    pool: WorkerPool,
    rankers: Sequence[ScoredRanker],
    sources: Sequence[Source],
    score: Score,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> list[RankerResult]:
    """Scores every ranker on every source; `on_progress` hears of finished jobs and of all jobs."""
    pairs = list(product(sources, rankers))
    scored: list[dict[int, Sequence[ScoredCase]]] = [{} for _ in pairs]
    jobs = [
        Job(
            _score,
            (ranker.make, source.cases[start : start + _CASES_A_JOB], score),
            partial(parts.__setitem__, start),
        )
        for (source, ranker), parts in zip(pairs, scored, strict=True)
        for start in range(0, len(source.cases), _CASES_A_JOB)
    ]
    run_jobs(pool, jobs, on_progress)
    return [
        result_of(
            source.name, ranker.name, ranker.checkpoint, [s for k in sorted(parts) for s in parts[k]], seed
        )
        for (source, ranker), parts in zip(pairs, scored, strict=True)
    ]


def _score(make: Callable[[], Ranker], cases: Sequence[RankingCase], score: Score) -> Sequence[ScoredCase]:
    return score_cases(make(), cases, score)
