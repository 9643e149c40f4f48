"""`firewatch run`: plays tasks with the composed agent."""

from typing import Annotated

import typer

from agent.cli import options as o


def run(
    context: typer.Context,
    env: o.Env = None,
    transport: o.TransportOption = o.Transport.AUTO,
    test_run: o.TestRun = False,
    task: o.TaskIds = None,
    tasks: o.TasksFile = None,
    episodes: o.Episodes = None,
    difficulty: o.DifficultyOption = o.DifficultyChoice.ALL,
    ranker: o.Ranker = o.RankerChoice.GNN,
    checkpoint: o.Checkpoint = None,
    rules: o.Rules = None,
    policy: o.Policy = o.PolicyChoice.AUTO,
    out: o.Out = None,
    resume: o.Resume = None,
    concurrency: o.Concurrency = 1,
    task_timeout: o.TaskTimeout = 1800.0,
    temperature: o.Temperature = 0.3,
    max_tokens: o.MaxTokens = 256,
    llm_timeout: o.LlmTimeout = 120.0,
    llm_cache: o.LlmCache = None,
    task_tokens: o.TaskTokens = None,
    task_usd: o.TaskUsd = None,
    task_seconds: o.TaskSeconds = None,
    run_tokens: o.RunTokens = None,
    run_usd: o.RunUsd = None,
    run_seconds: o.RunSeconds = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only recommend remedies; send none.")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Ask before each remedy.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show each step as it is taken: suspects, decision, budget.")
    ] = False,
    pace: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="With --watch: wait before a step.")
    ] = 1.0,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Plays tasks and writes a run folder; stdout carries only the [START], [STEP] and [END] lines.

    With [bold]--json -[/bold] stdout carries the results instead, and the lines go to stderr.

    [dim]Example:[/dim] firewatch run --test-run --env embedded --policy rules
    """
    from agent.cli.environ import settings_from_environment
    from agent.cli.interrupt import run_interruptible
    from agent.cli.playing import check_same, play
    from agent.cli.tasks import chosen_tasks
    from agent.records.trajectory import RunConfig, RunFolder, Spending

    settings = settings_from_environment()
    config = RunConfig(
        tasks=chosen_tasks(test_run, task, tasks, episodes, difficulty.value, seed),
        env=env,
        transport=transport.value,
        ranker=ranker.value,
        checkpoint=str(checkpoint) if checkpoint else None,
        rules=str(rules) if rules else None,
        policy=policy.value,
        seed=seed,
        concurrency=concurrency,
        task_timeout_s=task_timeout,
        dry_run=dry_run,
        approve=approve,
        temperature=temperature,
        max_tokens=max_tokens,
        llm_timeout_s=llm_timeout,
        llm_cache=str(llm_cache) if llm_cache else None,
        prices=dict(settings.prices),
        task_budget=Spending(tokens=task_tokens, usd=task_usd, seconds=task_seconds),
        run_budget=Spending(tokens=run_tokens, usd=run_usd, seconds=run_seconds),
        models=settings.models_for(policy.value),
        api_base_url=settings.public_api_base_url,
    )
    folder = None
    if resume:
        folder = RunFolder.resume(resume)
        given = {name for name in context.params if o.was_given(context, name)}
        check_same(config, folder.config, resume, given, out)
    return run_interruptible(play(config, folder, out, settings, json, quiet, pace if watch else None))
