"""Tasks: the 60 of the catalogue with their scenarios, the smoke tasks, random episodes and task files."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError

from data.errors import SchemaError, SettingsError
from data.files.json_text import read_json
from data.files.refusal import schema_error
from data.observation import DIFFICULTIES, Difficulty, Task
from data.simulator.config import CONFIGS, Script


class Scenario(Script):
    """One entry of `catalogue.json`."""

    task_id: str
    difficulty: Difficulty
    seed: int
    max_ticks: int
    about: str  # what happens, in a sentence for people; never shown to an agent

    @property
    def task(self) -> Task:
        """The task of the scenario."""
        return Task(
            task_id=self.task_id, difficulty=self.difficulty, seed=self.seed, max_ticks=self.max_ticks
        )


@cache
def scenarios() -> dict[str, Scenario]:
    """All scenarios by task id, in catalogue order."""
    text = resources.files("data.simulator").joinpath("catalogue.json").read_bytes()
    return {s.task_id: s for s in TypeAdapter(list[Scenario]).validate_json(text)}


def catalogue() -> tuple[Task, ...]:
    """The 60 tasks in their official order."""
    return tuple(scenario.task for scenario in scenarios().values())


def task(task_id: str) -> Task:
    """One catalogue task.

    Raises:
        SettingsError: no such task.
    """
    scenario = scenarios().get(task_id)
    if scenario is None:
        raise SettingsError(
            f"task '{task_id}' is not in the catalogue: the ids are in data/simulator/catalogue.json"
        )
    return scenario.task


def smoke_tasks() -> tuple[Task, ...]:
    """The tasks of the original client's test run, one per difficulty."""
    ids = ("task_easy_oom_baseline", "task_medium_cascade_memleak", "task_hard_config_drift_noise")
    return tuple(task(task_id) for task_id in ids)


def random_tasks(n: int, difficulty: str, seed: int) -> tuple[Task, ...]:
    """`n` random episodes; with "all", the difficulties alternate.

    Raises:
        SettingsError: unknown difficulty.
    """
    known: tuple[Difficulty, ...] = get_args(Difficulty)
    chosen = DIFFICULTIES if difficulty == "all" else tuple(d for d in known if d == difficulty)
    if not chosen:
        raise SettingsError(f"difficulty '{difficulty}' is unknown: choose easy, medium, hard or all")
    seeds = np.random.default_rng(seed).choice(2**31, n, replace=False).tolist() if n else []
    levels = [chosen[i % len(chosen)] for i in range(n)]
    return tuple(
        Task(difficulty=level, seed=drawn, max_ticks=CONFIGS[level].max_ticks)
        for level, drawn in zip(levels, seeds, strict=True)
    )


def read_tasks(path: Path) -> tuple[Task, ...]:
    """Reads a JSON list of tasks.

    Raises:
        SchemaError: not a list of tasks; names file, field and value.
    """
    try:
        raw = read_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SchemaError(str(path), "", str(error), "expected a JSON list of tasks") from None
    try:
        return tuple(TypeAdapter(list[Task]).validate_python(raw))
    except ValidationError as error:
        raise schema_error(error, str(path)) from None
