"""Plays the arms of an ablation side by side and writes what they came to."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from agent.ablation import Arm, figures
from agent.cli.console import is_stdout, note, text_table, wide_console, write_json
from agent.cli.parts import assemble
from agent.cli.playing import facts
from agent.provenance import git_revision
from agent.run import play_tasks
from agent.settings import Settings
from agent.trajectory import RunConfig, RunFolder

RESULT = "ablation.json"
_HEADINGS = (
    "arm",
    "n",
    "score",
    "solved",
    "steps",
    "wrong",
    "AC@1 at first",
    "against the first arm (score)",
)


def ablate_arms(
    configs: Sequence[RunConfig],
    out: Path,
    settings: Settings,
    jobs: int,
    seed: int,
    json_to: Path | None,
    quiet: bool,
) -> int:
    """Plays every arm that is not complete in `out`, each in a process, and writes the result file.

    Returns:
        The exit status: 1 if a task of some arm ended without a grade.
    """
    with ProcessPoolExecutor(max_workers=min(jobs, os.cpu_count() or 1)) as pool:
        playing = {pool.submit(_play_arm, c, out / "arms" / _name(c), settings): _name(c) for c in configs}
        for number, arm in enumerate(as_completed(playing), start=1):
            arm.result()
            note(f"[{number}/{len(playing)}] {playing[arm]} played", quiet)
    arms = [_read_arm(config, out / "arms" / _name(config)) for config in configs]
    result = {
        **figures(arms, seed),
        "config": [config.model_dump(mode="json") for config in configs],
        "seed": seed,
        "git": git_revision(),
    }
    write_json(out / RESULT, result)
    write_json(json_to, result)
    if not quiet and not is_stdout(json_to):
        wide_console().print(text_table(_HEADINGS, _rows(result)))
        print(f"Results: {out / RESULT}")
    return 1 if any(arm["ungraded"] for arm in result["arms"]) else 0


def _name(config: RunConfig) -> str:
    return f"{config.ranker}+{config.policy}{'' if config.hints else '-without-hints'}"


def _play_arm(config: RunConfig, folder: Path, settings: Settings) -> None:
    asyncio.run(_play_rest(config, folder, settings))


async def _play_rest(config: RunConfig, folder: Path, settings: Settings) -> None:
    parts = await assemble(config, settings, config.concurrency, quiet=True)
    begun = (folder / "run.json").exists()
    run = RunFolder.resume(folder) if begun else RunFolder.open(folder, config, facts(config, parts.endpoint))
    try:
        await play_tasks(
            run.missing,
            parts.endpoint.open,
            parts.ranker,
            parts.new_policy,
            (run,),
            config.concurrency,
            config.task_timeout_s,
        )
    finally:
        if parts.model is not None:
            await parts.model.aclose()


def _read_arm(config: RunConfig, folder: Path) -> Arm:
    run = RunFolder(folder, config, frozenset())
    policy = config.policy if config.hints else f"{config.policy}-without-hints"
    return Arm(config.ranker, policy, run.episodes, run.steps)


def _rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    against = {c["arm"]: c for c in result["comparisons"] if c["measure"] == "score"}
    rows: list[tuple[str, ...]] = []
    for arm in result["arms"]:
        compared = against.get(arm["arm"])
        rows.append(
            (
                arm["arm"],
                str(arm["n"]),
                _with_interval(arm, "score"),
                _with_interval(arm, "solved"),
                f"{arm['steps']:.1f}",
                f"{arm['wrong_remedies']:.2f}",
                "–" if arm["first_ranking"]["ac@1"] is None else f"{arm['first_ranking']['ac@1']:.3f}",
                "" if compared is None else f"{compared['difference']:+.3f}, {compared['verdict']}",
            )
        )
    return rows


def _with_interval(arm: dict[str, Any], measure: str) -> str:
    if arm[measure] is None:
        return "–"
    low, high = arm["ci95"][measure]
    return f"{arm[measure]:.3f} [{low:.3f}, {high:.3f}]"
