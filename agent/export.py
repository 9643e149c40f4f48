"""Trajectories as chat examples for fine-tuning: the model's own steps of tasks that went well, as played."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data import jsonl
from data.errors import FirewatchError, SettingsError

# Words that no prompt may hold, whatever their case.
_GRADERS_WORDS = ("reward", "score")


class LeakError(FirewatchError):
    """A recorded prompt holds what an agent must not read."""


def chat_examples(run: Path, min_score: float) -> Iterator[dict[str, Any]]:
    """One example for each step that the model decided at once, in tasks it solved without help.

    Args:
        run: a run folder.
        min_score: of the tasks to take; unsolved ones are never taken.

    Raises:
        SettingsError: no run there.
        LeakError: a prompt fails the honesty check.
    """
    if not (run / "run.json").exists():
        raise SettingsError(f"{run} holds no run: there is no run.json")
    chosen = {
        (record["task"], record["seed"])
        for record in _records(run / "episodes.jsonl")
        if record["success"] and record["score"] >= min_score and "rules" not in record["decisions"]
    }
    for step in _records(run / "steps.jsonl"):
        if (step["task"], step["seed"]) in chosen and step["decided_by"] == "llm":
            _check_honest(step)
            yield {"messages": [*step["prompt"], {"role": "assistant", "content": step["reply"]}]}


def write_examples(path: Path, examples: Iterable[Mapping[str, Any]]) -> int:
    """Writes one example a line and returns how many there are; nothing is written if one of them leaks."""
    lines = [json.dumps(example, ensure_ascii=False) + "\n" for example in examples]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _check_honest(step: Mapping[str, Any]) -> None:
    text = " ".join(message["content"] for message in step["prompt"]).lower()
    forbidden = [*_GRADERS_WORDS, *([step["task_id"].lower()] if step["task_id"] else [])]
    found = [word for word in forbidden if word in text]
    if found:
        raise LeakError(
            f"task {step['task']}, step {step['step']}: the prompt holds {', '.join(found)}; export nothing"
        )


def _records(path: Path) -> Iterator[dict[str, Any]]:
    return (record for _, record in jsonl.read(path)) if path.exists() else iter(())
