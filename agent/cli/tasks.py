"""Which tasks a command line asks for."""

from collections.abc import Sequence
from pathlib import Path

from data.errors import SettingsError
from data.observation import Task
from data.simulator import catalogue

# Far enough that no two seeds of the catalogue meet.
_SEED_STRIDE = 100_003


def chosen_tasks(
    test_run: bool,
    task_ids: Sequence[str] | None,
    tasks_file: Path | None,
    episodes: int | None,
    difficulty: str,
    seed: int,
) -> tuple[Task, ...]:
    """The tasks of one of the ways to name them, each once; the whole catalogue when none is used.

    Raises:
        SettingsError: two ways at once, or an unknown task id.
    """
    ways = {"--test-run": test_run, "--task": task_ids, "--tasks": tasks_file, "--episodes": episodes}
    used = [name for name, value in ways.items() if value]
    if len(used) > 1:
        raise SettingsError(f"{' and '.join(used)} name different tasks: use one of them")
    if test_run:
        tasks: tuple[Task, ...] = catalogue.SMOKE_TASKS
        return tasks
    if episodes:
        return catalogue.random_tasks(episodes, difficulty, seed)
    if task_ids:
        tasks = tuple(catalogue.task(task_id) for task_id in task_ids)
    elif tasks_file:
        tasks = catalogue.read_tasks(tasks_file)
    else:
        tasks = tuple(t for t in catalogue.catalogue() if difficulty in ("all", t.difficulty))
    if not tasks:
        raise SettingsError(f"{tasks_file}: no task in it")
    return tuple(dict.fromkeys(tasks))


def under_seeds(tasks: Sequence[Task], seeds: int) -> tuple[Task, ...]:
    """Each task with its own seed, then all of them with other ones: the same scenarios in other worlds."""
    return tuple(
        task.model_copy(update={"seed": task.seed + number * _SEED_STRIDE})
        for number in range(seeds)
        for task in tasks
    )
