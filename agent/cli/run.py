"""`firewatch run`: plays tasks with the agent."""

import asyncio
import sys

from agent.cli.approval import ask_on_terminal
from agent.cli.command import command, new_folder
from agent.cli.console import is_stdout, note, write_json
from agent.cli.environ import settings_from_environment, stay_offline
from agent.cli.interrupt import run_interruptible
from agent.cli.progress import Progress
from agent.cli.watch import Watch, paced
from agent.play.assembly import Parts, assemble
from agent.play.config import PlayOptions, RunConfig
from agent.play.evaluator_output import EvaluatorOutput
from agent.play.run import play_tasks
from agent.policies.guard import Guard
from agent.records.postmortem import PostMortems
from agent.records.provenance import refuse_other_weights, run_facts
from agent.records.trajectory import RunFolder
from agent.settings import Settings

NO_MODEL = "No model is set up (HF_TOKEN, OPENAI_API_KEY or a local API_BASE_URL): the rules decide."


@command(RunConfig)
def run(asked: RunConfig) -> int:
    """Plays tasks and writes a run folder; stdout carries only the [START], [STEP] and [END] lines.

    With [bold]--json -[/bold] stdout carries the results instead, and the lines go to stderr.

    [dim]Example:[/dim] firewatch run --test-run --env embedded --policy rules
    """
    stay_offline()
    settings = settings_from_environment()
    folder = None
    if asked.resume:
        folder = RunFolder.resume(asked.resume)
        asked.refuse_changes(folder.config)
        refuse_other_weights(folder.path, folder.config)
        config = folder.config.resumed(folder.environment, settings)
    else:
        config = asked.completed(settings)
    return run_interruptible(_play(asked, config, folder, settings))


async def _play(asked: RunConfig, config: RunConfig, folder: RunFolder | None, settings: Settings) -> int:
    """Plays the missing tasks; returns the exit status."""
    approve = ask_on_terminal(asked.concurrency) if config.approve else None
    guard = Guard(approve, config.dry_run)
    parts = await assemble(config, settings, asked.concurrency, guard)
    announce(parts, config, asked.quiet)
    if folder is None:
        folder = RunFolder.open(asked.out or new_folder("runs"), config, run_facts(config, parts.endpoint))
    elif parts.model is not None:
        parts.model.ledger.add(*folder.spent)
    # A live display would overwrite the question of --approve.
    progress = (Watch if asked.watch else Progress)(len(folder.missing), asked.quiet, live=not config.approve)
    lines = EvaluatorOutput(
        progress.above(sys.stderr if is_stdout(asked.json_to) else sys.stdout),
        folder.missing,
        config.models[0] if parts.model else parts.policy_name,
        settings.report_rewards,
    )
    try:
        with progress:
            await play_tasks(
                folder.missing,
                parts.endpoint.open,
                parts.ranker,
                paced(parts.new_policy, asked.pace) if asked.watch and asked.pace else parts.new_policy,
                (folder, lines, progress, PostMortems(folder.path / "post-mortems")),
                asked.concurrency,
                config.task_timeout_s,
            )
    except asyncio.CancelledError:
        note(f"Interrupted. Continue with: firewatch run --resume {folder.path}", asked.quiet)
        raise
    finally:
        if parts.model is not None:
            await parts.model.aclose()
    episodes = folder.episodes
    progress.summarise(episodes, folder.path)
    recorded, played = folder.config.model_dump(mode="json"), [episode.record() for episode in episodes]
    write_json(asked.json_to, {"run": str(folder.path), "config": recorded, "episodes": played})
    return 1 if any(episode.error is not None for episode in episodes) else 0


def announce(parts: Parts, config: PlayOptions, quiet: bool) -> None:
    """Says which parts play and where; warns before acting on a server that --env did not name."""
    if config.policy == "auto" and parts.model is None:
        note(NO_MODEL, quiet)
    if config.env is None and parts.endpoint.url:
        note(f"*** No --env was given, and a server answers at {parts.endpoint}: playing THERE. ***", quiet)
        note("*** Name it with --env, or use --env embedded to play without a server. ***", quiet)
    note(
        f"Environment {parts.endpoint}, ranker {parts.ranker.name}, policy {parts.policy_name}.",
        quiet,
    )
