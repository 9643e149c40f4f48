"""`firewatch collect`: plays many episodes and stores them, labelled."""

from agent.cli import options as o


def collect(
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
    from agent.cli.collecting import collect_into
    from agent.cli.console import write_json
    from agent.cli.environ import settings_from_environment
    from agent.cli.interrupt import run_interruptible
    from agent.cli.playing import new_folder
    from agent.cli.tasks import chosen_tasks
    from agent.trajectory import RunConfig

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
    results = run_interruptible(
        collect_into(
            out or resume or new_folder("episodes"), resume is not None, config, labels, settings, quiet
        )
    )
    write_json(json, results)
    return 1 if results["failed"] else 0
