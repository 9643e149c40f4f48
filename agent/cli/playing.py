"""Puts ranker, policy, environment and run folder together and plays: `run` after its options are read."""

import asyncio
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.cli.approval import ask_on_terminal
from agent.cli.console import is_stdout, note, write_json
from agent.cli.progress import Progress
from agent.decision import Policy
from agent.evaluator_output import EvaluatorOutput
from agent.guard import Guard, GuardSettings
from agent.llm import ChatModel, LlmSettings
from agent.policy import make_policy
from agent.provenance import folder_hash, git_revision, versions
from agent.run import play_tasks
from agent.settings import Settings
from agent.trajectory import RunConfig, RunFolder
from data.discovery import Endpoint, locate
from data.errors import SettingsError
from data.observation import Task
from gnn.rankers import checkpoint_folder, make_ranker

NO_MODEL = "No model is set up (HF_TOKEN, OPENAI_API_KEY or a local API_BASE_URL): the rules decide."

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
    "policy": "policy",
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "dry_run": "dry_run",
    "approve": "approve",
}


def check_same(asked: RunConfig, folder: RunFolder, given: Collection[str], out: Path | None) -> None:
    """Refuses options that would mix two runs in one folder.

    Raises:
        SettingsError: names the option and what the run was started with.
    """
    if out is not None and out.resolve() != folder.path.resolve():
        raise SettingsError(
            f"--out {out} and --resume {folder.path} name different folders: leave --out away"
        )
    for option, field in _OPTION_FIELDS.items():
        started_with = getattr(folder.config, field)
        if option in given and getattr(asked, field) != started_with:
            shown = "other tasks" if field == "tasks" else f"{field} {started_with}"
            raise SettingsError(
                f"--{option.replace('_', '-')}: the run in {folder.path} was started with {shown}; leave it away"
            )
    if folder.config.models != asked.models:
        models = ",".join(folder.config.models) or "no model"
        raise SettingsError(
            f"the run in {folder.path} was started with {models}: set MODEL_NAME and key as then"
        )


async def play(
    config: RunConfig,
    resumed: RunFolder | None,
    out: Path | None,
    settings: Settings,
    json: Path | None,
    quiet: bool,
) -> int:
    """Plays what `config` names, or what is missing in the resumed folder; returns the exit status."""
    players = config.concurrency
    config = resumed.config if resumed else config
    approve = ask_on_terminal(players) if config.approve else None
    guard = Guard(GuardSettings(dry_run=config.dry_run), approve)
    checkpoint = Path(config.checkpoint) if config.checkpoint else None
    ranker = make_ranker(config.ranker, checkpoint)
    model = _model(config, settings)
    if config.policy == "auto" and model is None:
        note(NO_MODEL, quiet)

    def new_policy(task: Task) -> Policy:
        return make_policy(config.policy, model=model, seed=task.seed + config.seed, guard=guard)

    endpoint = await locate(config.env, config.transport, settings.space_url)
    if players > 1 and not endpoint.has_sessions:
        raise SettingsError(f"{endpoint} has one episode for all: use --concurrency 1, or --transport ws")
    new_policy(config.tasks[0])  # a policy that cannot be made is known before anything is written
    folder = resumed or RunFolder.open(out or _new_folder(), config, _facts(config, endpoint, checkpoint))
    note(f"Playing {len(folder.missing)} tasks: environment {endpoint}, ranker {ranker.name}.", quiet)
    lines = EvaluatorOutput(
        sys.stderr if is_stdout(json) else sys.stdout,
        folder.missing,
        config.models[0] if model else new_policy(config.tasks[0]).name,
        settings.report_rewards,
    )
    try:
        with Progress(len(folder.missing), quiet, live=not config.approve) as progress:
            await play_tasks(
                folder.missing,
                endpoint.open,
                ranker,
                new_policy,
                (folder, lines, progress),
                players,
                config.task_timeout_s,
            )
    except asyncio.CancelledError:
        note(f"Interrupted. Go on with: firewatch run --resume {folder.path}", quiet)
        raise
    finally:
        if model is not None:
            await model.aclose()
    episodes = folder.episodes
    progress.summarise(episodes, folder.path)
    write_json(
        json, {"run": str(folder.path), "config": config.model_dump(mode="json"), "episodes": episodes}
    )
    return 1 if any(episode["error"] is not None for episode in episodes) else 0


def _model(config: RunConfig, settings: Settings) -> ChatModel | None:
    if not config.models or settings.key is None:
        return None
    return ChatModel(
        LlmSettings(
            base_url=settings.api_base_url,
            api_key=settings.key,
            models=config.models,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
        )
    )


def _facts(config: RunConfig, endpoint: Endpoint, checkpoint: Path | None) -> Mapping[str, Any]:
    """What run.json says beside the configuration."""
    weights = checkpoint_folder(config.ranker, checkpoint)
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


def _new_folder() -> Path:
    """A folder of its own under runs/, named by the time."""
    name = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    folder, number = Path("runs") / name, 2
    while folder.exists():
        folder, number = Path("runs") / f"{name}-{number}", number + 1
    return folder
