"""`firewatch ablate`: what each part is worth, on the same tasks and seeds."""

from typing import Annotated

import typer

from agent.cli import options as o


def ablate(
    env: o.Env = "embedded",
    transport: o.TransportOption = o.Transport.AUTO,
    test_run: o.TestRun = False,
    task: o.TaskIds = None,
    tasks: o.TasksFile = None,
    episodes: o.Episodes = None,
    difficulty: o.DifficultyOption = o.DifficultyChoice.ALL,
    ranker: o.Rankers = "gnn,heuristic,mlp,untrained,random,pagerank,zscore,none",
    policy: Annotated[
        str,
        typer.Option(
            metavar="NAME[,NAME…]", help="rules, legacy-rules, llm, llm-without-hints; one or more."
        ),
    ] = "rules",
    checkpoint: o.Checkpoint = None,
    out: o.Out = None,
    seeds: Annotated[int, typer.Option(min=1, help="Play each task under so many seeds.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Arms played side by side.")] = 2,
    concurrency: o.Concurrency = 1,
    task_timeout: o.TaskTimeout = 1800.0,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Plays rankers times policies on the same tasks and compares each arm with the first one, in pairs.

    The same command with the same --out goes on where it was interrupted.

    [dim]Example:[/dim] firewatch ablate --ranker gnn,heuristic,none --episodes 60 --out ablation
    """
    from agent.cli.ablating import ablate_arms
    from agent.cli.environ import settings_from_environment
    from agent.cli.playing import new_folder
    from agent.cli.tasks import chosen_tasks, under_seeds
    from agent.settings import NO_HINTS
    from agent.trajectory import RunConfig

    settings = settings_from_environment()
    chosen = under_seeds(chosen_tasks(test_run, task, tasks, episodes, difficulty.value, seed), seeds)
    configs = [
        RunConfig(
            tasks=chosen,
            env=env,
            transport=transport.value,
            ranker=ranker_name,
            checkpoint=str(checkpoint) if checkpoint else None,
            policy=policy_name.removesuffix(NO_HINTS),
            hints=not policy_name.endswith(NO_HINTS),
            seed=seed,
            concurrency=concurrency,
            task_timeout_s=task_timeout,
            models=settings.models_for(policy_name.removesuffix(NO_HINTS)),
            api_base_url=settings.public_api_base_url,
            prices=dict(settings.prices),
        )
        for policy_name in filter(None, policy.split(","))
        for ranker_name in filter(None, ranker.split(","))
    ]
    return ablate_arms(configs, out or new_folder("ablations"), settings, jobs, seed, json, quiet)
