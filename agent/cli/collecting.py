"""Plays episodes into a store: what `collect` does once its options are read."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.cli.console import note
from agent.cli.parts import assemble
from agent.cli.playing import check_same, where_it_was
from agent.cli.progress import Progress
from agent.play.collecting import Collector
from agent.play.run import play_tasks
from agent.records.trajectory import RunConfig
from agent.settings import Settings
from data.episodes import EpisodeStore
from data.errors import SettingsError
from data.files.json_file import read_object
from data.files.whole_file import write_whole
from data.labels import read_labels
from data.observation import parse

STORE = "episodes.jsonl"
REQUEST = "collect.json"


class CollectRequest(BaseModel):
    """What is collected; kept beside the episodes, so that it can go on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: RunConfig
    labels: str | None = None
    environment: str | None = None  # where it began


def request_of(
    folder: Path, asked: CollectRequest, given: Collection[str], out: Path | None
) -> CollectRequest:
    """What was to be collected in `folder`.

    Args:
        folder: that of --resume.
        asked: what the command line says.
        given: the options that the command line names.
        out: the folder of --out.

    Raises:
        SettingsError: there is no such request, or the command line says something else.
        SchemaError: the request does not parse.
    """
    file = folder / REQUEST
    if not file.exists():
        raise SettingsError(f"{folder} holds nothing to go on with: there is no {REQUEST}")
    started = parse(CollectRequest, read_object(file), str(file))
    check_same(asked.config, started.config, folder, given, out)
    if "labels" in given and asked.labels != started.labels:
        raise SettingsError(f"--labels: {folder} was started with labels {started.labels}; leave it away")
    return started


async def collect_into(
    folder: Path, resumed: bool, asked: CollectRequest, concurrency: int, settings: Settings, quiet: bool
) -> dict[str, Any]:
    """Plays the tasks that the folder does not hold yet and returns the figures of all that it holds then.

    Raises:
        SettingsError: the folder holds episodes, and nobody said to go on with them.
    """
    store = EpisodeStore(folder / STORE)
    if (folder / STORE).exists() and not resumed:
        raise SettingsError(
            f"{folder} holds episodes already: use --resume {folder}, or choose another --out"
        )
    config = asked.config
    known = read_labels(Path(asked.labels)) if asked.labels else {}
    held = {episode.task for episode in store.read()}
    missing = [task for task in config.tasks if task not in held]
    place = where_it_was(config, asked.environment, folder, settings)
    parts = await assemble(place, settings, concurrency, quiet)
    if not resumed:
        begun = asked.model_copy(update={"environment": str(parts.endpoint)})
        folder.mkdir(parents=True, exist_ok=True)
        # A task without an id has no such field: what goes on stores the same lines.
        write_whole(folder / REQUEST, begun.model_dump_json(indent=2, exclude_none=True) + "\n")
    collector = Collector(store, str(parts.endpoint), config.policy, known)
    try:
        with Progress(len(missing), quiet) as progress:
            results = await play_tasks(
                missing,
                parts.endpoint.open,
                parts.ranker,
                parts.new_policy,
                (collector, progress),
                concurrency,
                config.task_timeout_s,
            )
    finally:
        if parts.model is not None:
            await parts.model.aclose()
    episodes = store.read()
    origins = Counter(episode.labels.origin if episode.labels else "none" for episode in episodes)
    failed = {result.task.name: result.error for result in results if result.error is not None}
    note(f"{folder / STORE}: {len(episodes)} episodes, labels by origin: {dict(origins)}", quiet)
    return {
        "episodes": len(episodes),
        "path": str(folder / STORE),
        "labels": dict(origins),
        "failed": failed,
        "config": config.model_dump(mode="json"),
    }
