"""Plays episodes into a store: what `collect` does once its options are read."""

from collections import Counter
from pathlib import Path
from typing import Any

from agent.cli.console import note
from agent.cli.parts import assemble
from agent.cli.progress import Progress
from agent.collecting import Collector
from agent.run import play_tasks
from agent.settings import Settings
from agent.trajectory import RunConfig
from data.episodes import EpisodeStore
from data.errors import SettingsError
from data.labels import read_labels

STORE = "episodes.jsonl"


async def collect_into(
    folder: Path, resumed: bool, config: RunConfig, labels: Path | None, settings: Settings, quiet: bool
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
    known = read_labels(labels) if labels else {}
    held = {episode.task for episode in store.read()}
    missing = [task for task in config.tasks if task not in held]
    parts = await assemble(config, settings, config.concurrency, quiet)
    collector = Collector(store, str(parts.endpoint), config.policy, known)
    try:
        with Progress(len(missing), quiet) as progress:
            results = await play_tasks(
                missing,
                parts.endpoint.open,
                parts.ranker,
                parts.new_policy,
                (collector, progress),
                config.concurrency,
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
