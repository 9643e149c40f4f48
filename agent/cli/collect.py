"""`firewatch collect`: plays many episodes and stores them, labelled."""

import typer

from agent.cli import options as o


def collect(
    context: typer.Context,
    env: o.Env = None,
    transport: o.TransportOption = o.Transport.AUTO,
    test_run: o.TestRun = False,
    task: o.TaskIds = None,
    tasks: o.TasksFile = None,
    episodes: o.Episodes = None,
    difficulty: o.DifficultyOption = o.DifficultyChoice.ALL,
    ranker: o.Ranker = o.RankerChoice.HEURISTIC,
    checkpoint: o.Checkpoint = None,
    policy: o.Policy = o.PolicyChoice.EXPLORE,
    labels: o.Labels = None,
    out: o.Out = None,
    resume: o.Resume = None,
    concurrency: o.Concurrency = 1,
    task_timeout: o.TaskTimeout = 1800.0,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Plays episodes and stores them with the root cause: the environment's word, --labels, or the outcome.

    [dim]Example:[/dim] firewatch collect --env embedded --episodes 300 --seed 1 --out episodes/train
    """
    from agent.cli.collecting import CollectRequest, collect_into, request_of
    from agent.cli.console import write_json
    from agent.cli.environ import settings_from_environment
    from agent.cli.interrupt import run_interruptible
    from agent.cli.playing import new_folder
    from agent.cli.tasks import chosen_tasks
    from agent.records.trajectory import RunConfig

    settings = settings_from_environment()
    config = RunConfig(
        tasks=chosen_tasks(test_run, task, tasks, episodes, difficulty.value, seed),
        env=env,
        transport=transport.value,
        ranker=ranker.value,
        checkpoint=str(checkpoint) if checkpoint else None,
        policy=policy.value,
        seed=seed,
        concurrency=concurrency,
        task_timeout_s=task_timeout,
        models=settings.models_for(policy.value),
        api_base_url=settings.public_api_base_url,
    )
    asked = CollectRequest(config=config, labels=str(labels) if labels else None)
    folder = out or new_folder("episodes")
    if resume:
        folder = resume
        given = {name for name in context.params if o.was_given(context, name)}
        asked = request_of(resume, asked, given, out)
    results = run_interruptible(collect_into(folder, resume is not None, asked, concurrency, settings, quiet))
    write_json(json, results)
    return 1 if results["failed"] else 0
