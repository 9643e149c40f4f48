"""`firewatch collect`: plays many episodes and stores them with labels."""

from collections import Counter
from pathlib import Path

from agent.cli.command import command, new_folder
from agent.cli.console import note, write_json
from agent.cli.environ import settings_from_environment, stay_offline
from agent.cli.interrupt import run_interruptible
from agent.cli.progress import Progress
from agent.cli.run import announce
from agent.play.assembly import assemble
from agent.play.collecting import Collector
from agent.play.config import CollectOptions
from agent.play.run import play_tasks
from agent.settings import Settings
from data.episodes import EpisodeStore
from data.errors import SettingsError
from data.files.folder_lock import hold
from data.files.json_file import read_object
from data.files.whole_file import write_whole
from data.labels import read_labels
from data.observation import parse

STORE = "episodes.jsonl"
REQUEST = "collect.json"


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
        return run_interruptible(_collect(asked, config, folder, settings))


def _request_in(folder: Path) -> CollectOptions:
    """The options that `folder` was started with."""
    file = folder / REQUEST
    if not file.exists():
        raise SettingsError(f"{folder} holds nothing to resume: there is no {REQUEST}")
    return parse(CollectOptions, read_object(file), str(file))


async def _collect(asked: CollectOptions, config: CollectOptions, folder: Path, settings: Settings) -> int:
    """Plays the missing tasks; returns the exit status."""
    file = folder / STORE
    store = EpisodeStore(file)
    known = read_labels(config.labels) if config.labels else {}
    held = {episode.task for episode in store.read()}
    missing = [task for task in config.tasks if task not in held]
    parts = await assemble(config, settings, asked.concurrency)
    announce(parts, config, asked.quiet)
    if not asked.resume:
        begun = config.model_copy(update={"environment": str(parts.endpoint)})
        # Without empty fields, so that a resumed run stores the same lines.
        write_whole(folder / REQUEST, begun.model_dump_json(indent=2, exclude_none=True) + "\n")
    collector = Collector(store, str(parts.endpoint), config.policy, known)
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
    episodes = store.read()
    origins = Counter(episode.labels.origin if episode.labels else "none" for episode in episodes)
    failed = {result.task.name: result.error for result in results if result.error is not None}
    note(f"{file}: {len(episodes)} episodes, labels by origin: {dict(origins)}", asked.quiet)
    figures = {"episodes": len(episodes), "path": str(file), "labels": origins, "failed": failed}
    write_json(asked.json_to, {**figures, "config": config.model_dump(mode="json")})
    return 1 if failed else 0
