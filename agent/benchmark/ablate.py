"""Runs an ablation in several processes, and saves finished parts."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.benchmark.arms import WRONG, Arm
from agent.benchmark.figures import figures
from agent.benchmark.plan import WATCHED, AblationFolder, Played, as_json
from agent.benchmark.results import AblationResult, RankedSource
from agent.benchmark.worker import (
    EPISODES,
    INCIDENTS,
    SIMULATED,
    TASKS,
    Asked,
    Workplace,
    arm_folder,
    play_arm,
    rank_source,
    ranker_of,
    watch,
)
from agent.benchmark.wrong_hints import astray
from agent.play.assembly import make_model
from agent.play.workers import Job, WorkerPool, run_jobs, worker_pool
from agent.policies.registry import make_policy
from agent.records.lines import Key
from agent.records.provenance import files_hash
from agent.records.trajectory import RunFolder, read_config
from agent.settings import Settings
from data.clients.discovery import Endpoint
from data.episodes import Episode, EpisodeStore
from data.errors import SettingsError
from data.files.jsonl import SUFFIXES, files
from data.labels import read_labels
from data.observation import Task

Progress = Callable[[int, int], None]


def ablate(
    folder: AblationFolder,
    endpoint: Endpoint,
    settings: Settings,
    jobs: int = 1,
    concurrency: int = 1,
    on_progress: Progress = lambda done, total: None,
    ray: str | None = None,
) -> AblationResult:
    """Plays and ranks what is missing in `folder`, and returns the complete result.

    Args:
        folder: for the results.
        endpoint: where to play tasks.
        settings: of the model.
        jobs: number of workers.
        concurrency: tasks that a worker plays at once.
        on_progress: called with the number of finished jobs and of all jobs.
        ray: address of a Ray cluster whose actors are the workers; None: processes on this machine.

    Raises:
        FirewatchError: a part cannot be built (before anything is played), or a task cannot be played.
    """
    ablation = folder.ablation
    check_parts(folder, endpoint, settings, jobs * concurrency)
    folder.begin()
    place = Workplace(ablation.model_copy(update={"tasks": ()}), endpoint, settings, folder.path)
    _open_run_folders(folder, endpoint)
    with worker_pool(jobs, ray) as pool:
        if not ablation.ranking_only:
            _watch_all(pool, place, folder, on_progress)
        run_jobs(pool, [*_rankings(place, folder), *_plays(place, folder, concurrency)], on_progress)
    return ablation_result(folder)


def ablation_result(folder: AblationFolder) -> AblationResult:
    """The result of the ablation, from what the folder holds, with six decimals as in its file."""
    ablation = folder.ablation
    keys = [(task.name, task.seed) for task in ablation.tasks]
    episodes, rankings = folder.episodes, folder.rankings
    played = [
        Played(arm, [episodes[arm.name, key] for key in keys if (arm.name, key) in episodes])
        for arm in ablation.arms
    ]
    ranked = _briefly(
        [
            (asked.kind, entry)
            for asked in _asked(folder)
            for ranker in ablation.compared_rankers
            for entry in rankings.get((ranker, asked.name), ())
        ]
    )
    sources = list(dict.fromkeys(entry.source for entry in ranked))
    ranked.sort(key=lambda entry: sources.index(entry.source))
    facts = {**folder.facts, "config": _without_folders(folder.facts["config"])}
    result = figures(played, ranked, ablation.seed).model_copy(update=facts)
    return AblationResult.model_validate(as_json(result.record()))


def _briefly(ranked: Sequence[tuple[str, RankedSource]]) -> list[RankedSource]:
    """Gives the rankings of files short, unique source names."""
    files = [entry.source for kind, entry in ranked if kind in (EPISODES, INCIDENTS)]
    others = {entry.source for kind, entry in ranked if kind not in (EPISODES, INCIDENTS)}
    # EPISODES is reserved for comparisons of played episodes, even without tasks.
    brief = {**{name: name for name in others}, **brief_names(files, {EPISODES, TASKS, *others})}
    return [entry.model_copy(update={"source": brief[entry.source]}) for _, entry in ranked]


def _without_folders(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with file names only, so that a result doesn't reveal the machine's folders."""
    names = {field: [Path(path).name for path in config[field]] for field in ("episodes_from", "incidents")}
    return {**config, **names}


def check_parts(folder: AblationFolder, endpoint: Endpoint, settings: Settings, players: int) -> None:
    """Builds every part, so that errors show before anything is played."""
    ablation = folder.ablation
    if not ablation.ranking_only and players > 1 and not endpoint.has_sessions:
        raise SettingsError(f"{endpoint} has one episode for all: use --jobs 1, or --transport ws")
    for spec in map(ablation.spec, ablation.rankers):
        ranker = ranker_of(spec, ablation.seed)
        if spec.name == WRONG and not ablation.ranking_only:
            astray(ranker, endpoint.open())
    for arm in ablation.arms:
        config = ablation.run_config(arm)
        make_policy(config.policy, model=make_model(config, settings))
    if ablation.labels:
        read_labels(ablation.labels)
    _asked(folder)


def _open_run_folders(folder: AblationFolder, endpoint: Endpoint) -> None:
    """Creates a run folder for every arm, or cleans up after an interrupted ablation."""
    if not folder.ablation.steps:
        return
    done = _done(folder)
    for arm in folder.ablation.arms:
        path = arm_folder(folder.path, arm)
        config = folder.ablation.run_config(arm, folder.ablation.tasks)
        if not (path / "run.json").exists():
            facts = {"environment": str(endpoint), "ranker": arm.ranker, "policy": arm.policy}
            RunFolder.open(path, config, facts)
            continue
        if read_config(path) != config:
            raise SettingsError(f"{path} keeps the steps of other tasks: choose another --out")
        # Results of an interrupted job that the ablation lacks are dropped and played again.
        RunFolder.resume(path, {task for task in config.tasks if _key(arm, task) in done})


def _watch_all(pool: WorkerPool, place: Workplace, folder: AblationFolder, on_progress: Progress) -> None:
    """Saves the first observations of every task, in the order of the tasks."""
    tasks = folder.ablation.tasks
    store = EpisodeStore(folder.watched)
    if [episode.task for episode in store.read()] == list(tasks):
        return
    seen: dict[Task, Episode] = {}

    def keep(episode: Episode) -> None:
        seen[episode.task] = episode

    run_jobs(pool, [Job(watch, (place, task), keep) for task in tasks], on_progress)
    folder.watched.unlink(missing_ok=True)
    for task in tasks:
        store.append(seen[task])


def _rankings(place: Workplace, folder: AblationFolder) -> list[Job]:
    done = folder.rankings
    return [
        Job(rank_source, (place, ranker, asked), folder.keep_rankings)
        for asked in _asked(folder)
        for ranker in folder.ablation.compared_rankers
        if (ranker, asked.name) not in done
    ]


def _asked(folder: AblationFolder) -> list[Asked]:
    """Everything to rank."""
    ablation = folder.ablation
    labels = [ablation.labels] if ablation.labels else []
    asked = [Asked(EPISODES, str(path), _content(path, labels)) for path in ablation.episodes_from]
    asked += [Asked(INCIDENTS, str(path), _content(path)) for path in ablation.incidents]
    if ablation.simulate:
        asked.append(Asked(SIMULATED, version=str(ablation.simulate)))
    if not ablation.ranking_only:
        told = repr([(task.name, task.seed) for task in ablation.tasks]) + str(WATCHED)
        asked.insert(0, Asked(TASKS, version=hashlib.sha256(told.encode()).hexdigest()[:12]))
    return list(dict.fromkeys(asked))


def _content(path: Path, labels: Sequence[Path] = ()) -> str:
    """A hash of files and labels, to notice changes."""
    return files_hash([*files(path), *labels])[:12]


def _plays(place: Workplace, folder: AblationFolder, concurrency: int) -> list[Job]:
    """The missing tasks as jobs of `concurrency` tasks each; failed tasks are played again."""
    done = _done(folder)
    jobs = []
    for arm in folder.ablation.arms:
        missing = [t for t in folder.ablation.tasks if _key(arm, t) not in done]
        for start in range(0, len(missing), concurrency):
            jobs.append(
                Job(play_arm, (place, arm, missing[start : start + concurrency]), folder.keep_episodes)
            )
    return jobs


def _done(folder: AblationFolder) -> set[tuple[str, Key]]:
    """The tasks that have a score."""
    return {key for key, record in folder.episodes.items() if record.error is None}


def _key(arm: Arm, task: Task) -> tuple[str, Key]:
    return arm.name, (task.name, task.seed)


def brief_names(paths: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """A unique name for each path: the file name without suffix, with as many folders as needed.

    Short names make results from different machines comparable.

    Args:
        paths: the sources' full names.
        taken: names that are already in use.
    """
    names = {path: _names(path) for path in paths}
    chosen = dict.fromkeys(names, 0)
    while True:
        brief = {path: names[path][index] for path, index in chosen.items()}
        uses = Counter(brief.values())
        clashing = [
            path
            for path, name in brief.items()
            if (uses[name] > 1 or name in taken) and chosen[path] + 1 < len(names[path])
        ]
        if not clashing:
            return brief
        for path in clashing:
            chosen[path] += 1


def _names(path: str) -> list[str]:
    """Possible names of a path, from short to the full path."""
    bare = path
    for suffix in SUFFIXES[::-1]:
        bare = bare.removesuffix(suffix)
    parts = Path(bare).absolute().parts
    return ["/".join(parts[start:]) for start in range(len(parts) - 1, 0, -1)] + [path]
