"""The run folder (run.json, steps.jsonl, episodes.jsonl): crash-safe and resumable."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from agent.play.config import RunConfig
from agent.play.episode import EpisodeResult, StepRecord
from agent.play.run import Listener
from agent.records.lines import EpisodeLine, Key, Line, StepLine
from agent.situation.decision import Usage
from data.errors import SettingsError
from data.files import jsonl
from data.files.folder_lock import hold
from data.files.json_file import read_object
from data.files.whole_file import write_whole
from data.observation import Task, parse

L = TypeVar("L", bound=Line)

FORMAT = 1
DROPPED = "dropped.jsonl"  # the model usage of steps that were dropped on resuming


class RunFolder(Listener):
    """The files of one run. `open` starts a run, `resume` continues one; both lock the folder."""

    def __init__(
        self, path: Path, config: RunConfig, finished: frozenset[Task], lock: FileLock | None = None
    ) -> None:
        self.path = path
        self.config = config
        self._finished = finished
        self._lock = lock

    @property
    def missing(self) -> tuple[Task, ...]:
        """The tasks without a result, in the run's order."""
        return tuple(task for task in self.config.tasks if task not in self._finished)

    @property
    def episodes(self) -> list[EpisodeLine]:
        """The lines of episodes.jsonl, in the order of the run's tasks."""
        order = {task: index for index, task in enumerate(self.config.tasks)}
        lines = (line for _, line in _read(self.path / "episodes.jsonl", EpisodeLine))
        return sorted(lines, key=lambda line: order[line.played])

    def steps(self, only: Collection[Key] | None = None) -> dict[Key, list[StepLine]]:
        """The steps of every task, or of those in `only`, in order."""
        found: dict[Key, list[StepLine]] = {}
        file = self.path / "steps.jsonl"
        for number, raw in jsonl.read(file) if file.exists() else ():
            key = raw.get("task", ""), raw.get("seed", 0)
            if only is None or key in only:
                found.setdefault(key, []).append(parse(StepLine, raw, f"{file}:{number}"))
        return {key: sorted(steps, key=lambda step: step.step) for key, steps in found.items()}

    @property
    def environment(self) -> str | None:
        """The environment of the run, from run.json."""
        return read_object(self.path / "run.json").get("environment")

    @property
    def spent(self) -> tuple[Usage, float]:
        """The model's usage and time in seconds so far, including dropped steps."""
        usage, seconds = _spent(chain.from_iterable(self.steps().values()))
        for _, line in jsonl.read(self.path / DROPPED) if (self.path / DROPPED).exists() else ():
            usage, seconds = usage + Usage(**line["usage"]), seconds + line["seconds"]
        return usage, seconds

    @staticmethod
    def open(path: Path, config: RunConfig, facts: Mapping[str, Any]) -> "RunFolder":
        """Creates the folder and its run.json.

        Raises:
            SettingsError: the folder already holds a run, or another process writes there.
        """
        lock = hold(path)
        if (path / "run.json").exists():
            raise SettingsError(
                f"{path} already holds a run: continue it with --resume {path}, or choose another --out"
            )
        run = {"format": FORMAT, **facts, "config": config.model_dump(mode="json")}
        write_whole(path / "run.json", json.dumps(run, indent=2, ensure_ascii=False) + "\n")
        return RunFolder(path, config, frozenset(), lock)

    @staticmethod
    def resume(path: Path, only: Collection[Task] | None = None) -> "RunFolder":
        """Opens the folder of an earlier run and drops the steps of tasks without a result.

        A task is played again if it ended in an error, has two results, or its steps are inconsistent. The
        model usage of dropped steps is kept.

        Args:
            only: the tasks whose results count; None for all.

        Raises:
            SettingsError: no run there, or another process writes there.
        """
        config = read_config(path)
        lock = hold(path)
        steps = list(_read(path / "steps.jsonl", StepLine))
        graded = [(raw, e) for raw, e in _read(path / "episodes.jsonl", EpisodeLine) if e.error is None]
        results, played = Counter(e.played for _, e in graded), Counter(step.played for _, step in steps)
        whole = [
            (raw, e.played)
            for raw, e in graded
            if (only is None or e.played in only) and results[e.played] == 1 and played[e.played] == e.steps
        ]
        finished = frozenset(task for _, task in whole)
        usage, seconds = _spent(step for _, step in steps if step.played not in finished)
        if usage != Usage() or seconds:
            # Saved before the steps are dropped: after a crash in between they count twice, not never.
            jsonl.append(path / DROPPED, {"usage": asdict(usage), "seconds": seconds})
        write_whole(path / "steps.jsonl", _text(raw for raw, step in steps if step.played in finished))
        write_whole(path / "episodes.jsonl", _text(raw for raw, _ in whole))
        return RunFolder(path, config, finished, lock)

    def step_played(self, step: StepRecord) -> None:
        """Saves the step."""
        jsonl.append(self.path / "steps.jsonl", StepLine.of(step).record(), durable=False)

    def task_ended(self, result: EpisodeResult) -> None:
        """Saves the episode, unless it was interrupted."""
        if not result.interrupted:
            # The steps of a saved episode must be on disk.
            jsonl.sync(self.path / "steps.jsonl")
            jsonl.append(self.path / "episodes.jsonl", EpisodeLine.of(result).record())


def read_config(path: Path) -> RunConfig:
    """The configuration of the run in folder `path`.

    Raises:
        SettingsError: no run there.
        SchemaError: its run.json does not parse.
    """
    file = path / "run.json"
    if not file.exists():
        raise SettingsError(f"{path} holds no run: there is no run.json")
    return parse(RunConfig, read_object(file).get("config"), str(file))


def _spent(steps: Iterable[StepLine]) -> tuple[Usage, float]:
    """The model's usage and time in seconds over these steps."""
    asked = [step for step in steps if step.prompt]
    return sum((step.usage for step in asked), Usage()), sum(step.latency_s["decision"] for step in asked)


def _read(path: Path, model: type[L]) -> Iterator[tuple[dict[str, Any], L]]:
    """Every line of a file, raw and parsed; none if the file doesn't exist."""
    for number, raw in jsonl.read(path) if path.exists() else ():
        yield raw, parse(model, raw, f"{path}:{number}")


def _text(lines: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
