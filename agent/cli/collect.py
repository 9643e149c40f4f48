"""`firewatch collect`: plays many episodes and stores them with labels."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from agent.cli.command import command, new_folder
from agent.cli.console import note, write_json
from agent.cli.environ import settings_from_environment, stay_offline
from agent.cli.interrupt import run_interruptible
from agent.cli.progress import Progress, job_bar
from agent.cli.run import announce
from agent.play.assembly import Parts, assemble
from agent.play.collecting import Collection, Collector
from agent.play.config import CollectOptions
from agent.play.run import play_tasks
from agent.play.workers import Job, run_jobs, worker_pool
from agent.settings import Settings
from data.episodes import Episode, EpisodeStore
from data.errors import SettingsError
from data.files.folder_lock import hold
from data.files.json_file import read_object
from data.files.whole_file import write_whole
from data.labels import read_labels
from data.observation import Task, parse

STORE = "episodes.jsonl"
REQUEST = "collect.json"
_TASKS_A_JOB = 8  # to share the cost of loading the ranker


@command(CollectOptions)
def collect(asked: CollectOptions) -> int:
    """Plays episodes and stores them with their root cause: from the environment, --labels, or the outcome.

    [dim]Example:[/dim] firewatch collect --env embedded --episodes 300 --seed 1 --out episodes/train
    """
    stay_offline()
    settings = settings_from_environment()
    folder = asked.resume or asked.out or new_folder("episodes")
    if asked.resume:
        started = _request_in(folder)
        asked.refuse_changes(started)
        config = started.resumed(started.environment, settings)
    else:
        config = asked.completed(settings)
    with hold(folder):
        if not asked.resume and (folder / STORE).exists():
            raise SettingsError(
                f"{folder} already holds episodes: use --resume {folder}, or choose another --out"
            )
        if asked.jobs > 1 or asked.ray:
            return _collect_beside(asked, config, folder, settings)
        return run_interruptible(_collect(asked, config, folder, settings))


def _request_in(folder: Path) -> CollectOptions:
    """The options that `folder` was started with."""
    file = folder / REQUEST
    if not file.exists():
        raise SettingsError(f"{folder} holds nothing to resume: there is no {REQUEST}")
    return parse(CollectOptions, read_object(file), str(file))


async def _collect(asked: CollectOptions, config: CollectOptions, folder: Path, settings: Settings) -> int:
    """Plays the missing tasks in this process; returns the exit status."""
    store = EpisodeStore(folder / STORE)
    missing = _missing(config, store)
    parts = await _begin(asked, config, folder, settings)
    collector = Collector(store.append, str(parts.endpoint), config.policy, _known(config))
    try:
        with Progress(len(missing), asked.quiet) as progress:
            results = await play_tasks(
                missing,
                parts.endpoint.open,
                parts.ranker,
                parts.new_policy,
                (collector, progress),
                asked.concurrency,
                config.task_timeout_s,
            )
    finally:
        if parts.model is not None:
            await parts.model.aclose()
    failed = {result.task.name: result.error for result in results if result.error is not None}
    return _finish(asked, config, folder, failed)


def _collect_beside(asked: CollectOptions, config: CollectOptions, folder: Path, settings: Settings) -> int:
    """The same in several processes or Ray actors; stores episodes as they arrive."""
    if any(limit is not None for limit in (config.run_tokens, config.run_usd, config.run_seconds)):
        raise SettingsError("budgets for the whole run work in one process only: use --jobs 1 without --ray")
    store = EpisodeStore(folder / STORE)
    missing = _missing(config, store)
    parts = asyncio.run(_begin(asked, config, folder, settings))
    shared = config.model_copy(update={"tasks": (), "resume": None, "out": None})
    collection = Collection(shared, settings, str(parts.endpoint), _known(config), asked.concurrency)
    failed: dict[str, str] = {}

    def keep(played: tuple[list[Episode], dict[str, str]]) -> None:
        episodes, errors = played
        for episode in episodes:
            store.append(episode)
        failed.update(errors)

    size = max(asked.concurrency, min(_TASKS_A_JOB, len(missing) // asked.jobs))
    jobs = [Job(collection.play, (missing[k : k + size],), keep) for k in range(0, len(missing), size)]
    with worker_pool(asked.jobs, asked.ray) as pool, job_bar(asked.quiet) as on_progress:
        run_jobs(pool, jobs, on_progress)
    return _finish(asked, config, folder, failed)


def _missing(config: CollectOptions, store: EpisodeStore) -> list[Task]:
    held = {episode.task for episode in store.read()}
    return [task for task in config.tasks if task not in held]


def _known(config: CollectOptions) -> Mapping[str, tuple[str, ...]]:
    return read_labels(config.labels) if config.labels else {}


async def _begin(asked: CollectOptions, config: CollectOptions, folder: Path, settings: Settings) -> Parts:
    """Builds all parts and saves the request."""
    parts = await assemble(config, settings, asked.concurrency * asked.jobs)
    announce(parts, config, asked.quiet)
    if not asked.resume:
        begun = config.model_copy(update={"environment": str(parts.endpoint)})
        # Without empty fields, so that a resumed run stores the same lines.
        write_whole(folder / REQUEST, begun.model_dump_json(indent=2, exclude_none=True) + "\n")
    return parts


def _finish(asked: CollectOptions, config: CollectOptions, folder: Path, failed: Mapping[str, str]) -> int:
    """Reports what the folder has now; returns the exit status."""
    file = folder / STORE
    store = EpisodeStore(file)
    store.put_in_order(config.tasks)
    episodes = store.read()
    origins = Counter(episode.labels.origin if episode.labels else "none" for episode in episodes)
    note(f"{file}: {len(episodes)} episodes, labels by origin: {dict(origins)}", asked.quiet)
    figures = {"episodes": len(episodes), "path": str(file), "labels": origins, "failed": failed}
    write_json(asked.json_to, {**figures, "config": config.model_dump(mode="json")})
    return 1 if failed else 0
