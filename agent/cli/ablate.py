"""`firewatch ablate`: what each part is worth, on the same tasks and seeds."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli import options as o

_CI = "For continuous integration"


def ablate(
    env: o.Env = "embedded",
    transport: o.TransportOption = o.Transport.AUTO,
    test_run: o.TestRun = False,
    task: o.TaskIds = None,
    tasks: o.TasksFile = None,
    episodes: o.Episodes = None,
    difficulty: o.DifficultyOption = o.DifficultyChoice.ALL,
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Play each task in N worlds, drawn from N seeds.")
    ] = 1,
    ranker: Annotated[
        str,
        typer.Option(
            metavar="NAME[,NAME…]",
            help=f"The first is the reference. One or more of {', '.join(o.RankerChoice)}, "
            "wrong (hints that point away from the truth), or NAME@DIR for other weights.",
        ),
    ] = "gnn,heuristic,mlp,untrained,random,pagerank,zscore,none",
    policy: Annotated[
        str,
        typer.Option(
            metavar="NAME[,NAME…]",
            help="One or more of rules, legacy-rules, llm, llm-without-hints, explore.",
        ),
    ] = "rules",
    ranking_only: Annotated[
        bool,
        typer.Option("--ranking-only", help="Play nothing: rank only the sources named below."),
    ] = False,
    episodes_from: o.EpisodesFrom = None,
    incidents: o.Incidents = None,
    simulate: o.Simulate = 0,
    labels: o.Labels = None,
    checkpoint: o.Checkpoint = None,
    out: o.Out = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="Keep every step, with prompt and reply, in a run folder an arm.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Processes.")] = 2,
    concurrency: o.Concurrency = 1,
    task_timeout: o.TaskTimeout = 1800.0,
    temperature: o.Temperature = 0.3,
    max_tokens: o.MaxTokens = 256,
    against: Annotated[
        Path | None,
        typer.Option(metavar="RESULT", rich_help_panel=_CI, help="An earlier ablation.json to compare with."),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            rich_help_panel=_CI,
            help="With --against: exit with 1 if the difference is so, such as 'ac@1 < -0.02'; repeatable.",
        ),
    ] = None,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Plays rankers times policies on the same tasks and seeds and compares them in pairs.

    The same command with the same --out goes on where it was interrupted.

    [dim]Example:[/dim] firewatch ablate --ranker gnn,heuristic,none --policy rules --out ablation
    """
    from agent.benchmark.plan import Ablation, under_seeds
    from agent.cli.ablating import ablate_and_compare
    from agent.cli.command import new_folder
    from agent.cli.environ import settings_from_environment
    from agent.play.config import TaskChoice

    settings = settings_from_environment()
    asks_a_model = any(name.startswith(("llm", "auto")) for name in _names(policy))
    chosen = TaskChoice(
        test_run=test_run,
        task=tuple(task or ()),
        tasks_file=tasks,
        episodes=episodes,
        difficulty=difficulty.value,
    ).chosen(seed)
    ablation = Ablation(
        tasks=() if ranking_only else under_seeds(chosen, seeds),
        rankers=_names(ranker),
        policies=_names(policy),
        play=not ranking_only,
        keep_steps=steps,
        env=env,
        transport=transport.value,
        checkpoint=str(checkpoint) if checkpoint else None,
        seed=seed,
        task_timeout_s=task_timeout,
        models=settings.models_for("llm") if asks_a_model else (),
        api_base_url=settings.public_api_base_url,
        temperature=temperature,
        max_tokens=max_tokens,
        prices=dict(settings.prices),
        episodes_from=tuple(map(str, episodes_from or ())),
        incidents=tuple(map(str, incidents or ())),
        simulate=simulate,
        labels=str(labels) if labels else None,
    )
    return ablate_and_compare(
        ablation,
        out or new_folder("ablations"),
        settings,
        jobs,
        concurrency,
        against,
        fail_if or (),
        json,
        quiet,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
