"""Exports the model's steps in successful tasks as chat examples for fine-tuning."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from agent.llm.sanitize import speaks_of_the_grade
from agent.records.lines import StepLine
from agent.records.trajectory import RunFolder, read_config
from data.errors import FirewatchError
from data.files.whole_file import write_whole


class LeakError(FirewatchError):
    """A recorded prompt contains something that an agent must not read."""


def chat_examples(run: Path, min_score: float) -> Iterator[dict[str, Any]]:
    """The steps of `solved_steps` as conversations."""
    for step in solved_steps(run, min_score):
        yield {"messages": [*step.prompt, {"role": "assistant", "content": step.reply}]}


def solved_steps(run: Path, min_score: float) -> Iterator[StepLine]:
    """The steps with a usable first reply, in tasks that the model solved without the rules.

    Args:
        min_score: of the tasks; unsolved ones are always left out.

    Raises:
        SettingsError: no run there.
        LeakError: a prompt contains what only the grader knows.
    """
    folder = RunFolder(run, read_config(run), frozenset())
    chosen = {
        one.key
        for one in folder.episodes
        if one.success and (one.score or 0.0) >= min_score and "rules" not in one.decisions
    }
    for step in chain.from_iterable(folder.steps(chosen).values()):
        if step.decided_by == "llm":
            _check_honest(step)
            yield step


def write_examples(path: Path, examples: Iterable[Mapping[str, Any]]) -> int:
    """Writes one example per line and returns their number; writes nothing if one of them leaks."""
    lines = [json.dumps(example, ensure_ascii=False) + "\n" for example in examples]
    write_whole(path, "".join(lines))
    return len(lines)


def _check_honest(step: StepLine) -> None:
    text = "\n".join(message["content"] for message in step.prompt)
    task_id = step.task_id
    if speaks_of_the_grade(text) or (task_id and task_id.lower() in text.lower()):
        raise LeakError(
            f"task {step.task}, step {step.step}: its prompt holds what only the grader knows; "
            "nothing is exported"
        )
