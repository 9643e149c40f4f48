"""Plays a run and keeps it: what `run` does once its options are read."""

import asyncio
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.cli.console import is_stdout, note, write_json
from agent.cli.parts import assemble
from agent.cli.progress import Progress
from agent.cli.watch import Watch, paced
from agent.play.assembly import weights_folder
from agent.play.evaluator_output import EvaluatorOutput
from agent.play.run import play_tasks
from agent.records.postmortem import PostMortems
from agent.records.provenance import folder_hash, git_revision, versions
from agent.records.trajectory import RunConfig, RunFolder
from agent.settings import Settings
from data.clients.discovery import Endpoint
from data.errors import SettingsError

# Which part of the configuration each option decides; these must not change when a run goes on.
_OPTION_FIELDS = {
    "env": "env",
    "transport": "transport",
    "test_run": "tasks",
    "task": "tasks",
    "tasks": "tasks",
    "episodes": "tasks",
    "difficulty": "tasks",
    "seed": "seed",
    "ranker": "ranker",
    "checkpoint": "checkpoint",
    "rules": "rules",
    "policy": "policy",
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "task_timeout": "task_timeout_s",
    "llm_timeout": "llm_timeout_s",
    "llm_cache": "llm_cache",
    "task_tokens": "task_budget",
    "task_usd": "task_budget",
    "task_seconds": "task_budget",
    "run_tokens": "run_budget",
    "run_usd": "run_budget",
    "run_seconds": "run_budget",
    "dry_run": "dry_run",
    "approve": "approve",
}


def check_same(
    asked: RunConfig, started: RunConfig, folder: Path, given: Collection[str], out: Path | None
) -> None:
    """Refuses options that would mix two runs in one folder.

    Args:
        asked: what the command line says.
        started: how the run in `folder` was started.
        folder: that of --resume.
        given: the options that the command line names.
        out: the folder of --out.

    Raises:
        SettingsError: names the option and what the run was started with.
    """
    if out is not None and out.resolve() != folder.resolve():
        raise SettingsError(f"--out {out} and --resume {folder} name different folders: leave --out away")
    for option, field in _OPTION_FIELDS.items():
        started_with = getattr(started, field)
        if option in given and getattr(asked, field) != started_with:
            shown = "other tasks" if field == "tasks" else f"{field} {started_with}"
            name = option.replace("_", "-")
            raise SettingsError(f"--{name}: {folder} was started with {shown}; leave it away")


async def play(
    asked: RunConfig,
    resumed: RunFolder | None,
    out: Path | None,
    settings: Settings,
    json: Path | None,
    quiet: bool,
    pace_s: float | None = None,
) -> int:
    """Plays what was asked for, or what is missing in the resumed folder; returns the exit status.

    With `pace_s` a person watches: each step is shown whole and waits so long.
    """
    config = resumed.config if resumed else asked
    if config.models and settings.key is None:
        raise SettingsError("the run was started with a model: set HF_TOKEN or OPENAI_API_KEY as then")
    place = config
    if resumed:
        place = where_it_was(config, resumed.environment, resumed.path, settings)
    parts = await assemble(place, settings, asked.concurrency, quiet)
    if resumed and parts.model is not None:
        parts.model.ledger.add(*resumed.spent)
    folder = resumed or RunFolder.open(out or new_folder("runs"), config, facts(config, parts.endpoint))
    missing = folder.missing
    # A display that moves would run over the question whether to send a remedy.
    progress = (Progress if pace_s is None else Watch)(len(missing), quiet, live=not config.approve)
    lines = EvaluatorOutput(
        progress.above(sys.stderr if is_stdout(json) else sys.stdout),
        missing,
        config.models[0] if parts.model else parts.policy_name,
        settings.report_rewards,
    )
    try:
        with progress:
            await play_tasks(
                missing,
                parts.endpoint.open,
                parts.ranker,
                paced(parts.new_policy, pace_s) if pace_s else parts.new_policy,
                (folder, lines, progress, PostMortems(folder.path / "post-mortems")),
                asked.concurrency,
                config.task_timeout_s,
            )
    except asyncio.CancelledError:
        note(f"Interrupted. Go on with: firewatch run --resume {folder.path}", quiet)
        raise
    finally:
        if parts.model is not None:
            await parts.model.aclose()
    episodes = folder.episodes
    progress.summarise(episodes, folder.path)
    write_json(
        json, {"run": str(folder.path), "config": config.model_dump(mode="json"), "episodes": episodes}
    )
    return 1 if any(episode["error"] is not None for episode in episodes) else 0


def where_it_was(config: RunConfig, environment: str | None, folder: Path, settings: Settings) -> RunConfig:
    """The configuration of a run that goes on, in the environment where it began.

    Raises:
        SettingsError: another model endpoint is set up than then.
    """
    if config.models and config.api_base_url != settings.public_api_base_url:
        raise SettingsError(f"{folder} was started with API_BASE_URL={config.api_base_url}: set it as then")
    return config.model_copy(update={"env": config.env or environment})


def facts(config: RunConfig, endpoint: Endpoint) -> Mapping[str, Any]:
    """What run.json says beside the configuration."""
    weights = weights_folder(config.ranker, Path(config.checkpoint) if config.checkpoint else None)
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": str(endpoint),
        "transport": endpoint.transport,
        "seed": config.seed,
        "model": ",".join(config.models) or None,
        "ranker": config.ranker,
        "policy": config.policy,
        "checkpoint": str(weights) if weights else None,
        "checkpoint_sha256": folder_hash(weights) if weights else None,
        "versions": versions(),
        "git": git_revision(),
    }


def new_folder(kind: str) -> Path:
    """A folder of its own under `kind`, named by the time."""
    name = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    folder, number = Path(kind) / name, 2
    while folder.exists():
        folder, number = Path(kind) / f"{name}-{number}", number + 1
    return folder
