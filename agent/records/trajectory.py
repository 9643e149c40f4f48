"""The run folder: run.json, steps.jsonl and episodes.jsonl, whole whatever kills the process, resumable."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from agent.play.config import RunConfig
from agent.play.episode import EpisodeResult, StepRecord
from agent.situation.decision import Usage
from data.errors import SettingsError
from data.files import jsonl
from data.files.folder_lock import hold
from data.files.json_file import read_object
from data.files.whole_file import write_whole
from data.observation import Task, parse
from gnn.ranker import Ranking

FORMAT = 1
DROPPED = "dropped.jsonl"  # what the model cost in steps that are no part of the run any more


class RunFolder:
    """One run's files. `open` begins a run, `resume` goes on with one; both keep other processes out."""

    def __init__(
        self, path: Path, config: RunConfig, finished: frozenset[Task], lock: FileLock | None = None
    ) -> None:
        self.path = path
        self.config = config
        self._finished = finished
        self._lock = lock

    @property
    def missing(self) -> tuple[Task, ...]:
        """The tasks that have no result yet, in the run's order."""
        return tuple(task for task in self.config.tasks if task not in self._finished)

    @property
    def episodes(self) -> list[dict[str, Any]]:
        """The lines of episodes.jsonl, in the order of the run's tasks."""
        order = {task: index for index, task in enumerate(self.config.tasks)}
        return sorted(_records(self.path / "episodes.jsonl"), key=lambda record: order[_task_of(record)])

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The lines of steps.jsonl, as they were played."""
        return _records(self.path / "steps.jsonl")

    @property
    def environment(self) -> str | None:
        """Where the run was begun, as run.json says."""
        return read_object(self.path / "run.json").get("environment")

    @property
    def spent(self) -> tuple[Usage, float]:
        """What the model came to so far, and its seconds; with steps of tasks that had no result."""
        usage, seconds = _spent(self.steps)
        for line in _records(self.path / DROPPED):
            usage, seconds = usage + Usage(**line["usage"]), seconds + line["seconds"]
        return usage, seconds

    @staticmethod
    def open(path: Path, config: RunConfig, facts: Mapping[str, Any]) -> "RunFolder":
        """Creates the folder and its run.json.

        Raises:
            SettingsError: the folder holds a run already, or another process writes there.
        """
        lock = hold(path)
        if (path / "run.json").exists():
            raise SettingsError(
                f"{path} holds a run already: go on with --resume {path}, or choose another --out"
            )
        run = {"format": FORMAT, **facts, "config": config.model_dump(mode="json")}
        write_whole(path / "run.json", json.dumps(run, indent=2, ensure_ascii=False) + "\n")
        return RunFolder(path, config, frozenset(), lock)

    @staticmethod
    def resume(path: Path, only: Collection[Task] | None = None) -> "RunFolder":
        """Opens the folder of an earlier run and drops what belongs to tasks without a result.

        A task that ended in an error has no result: it is played again, and so is one of which there are two
        results or other steps than its own. What the model cost in it stays known.

        Args:
            path: the folder.
            only: the tasks whose results count, if not all do.

        Raises:
            SettingsError: no run there, or another process writes there.
        """
        config = read_config(path)
        lock = hold(path)
        records, steps = _records(path / "episodes.jsonl"), _records(path / "steps.jsonl")
        results = Counter(_task_of(record) for record in records if record["error"] is None)
        played = Counter(map(_task_of, steps))
        episodes = [
            record
            for record in records
            if record["error"] is None
            and (only is None or _task_of(record) in only)
            and results[_task_of(record)] == 1
            and played[_task_of(record)] == record["steps"]
        ]
        finished = frozenset(map(_task_of, episodes))
        kept, dropped = list[dict[str, Any]](), list[dict[str, Any]]()
        for record in steps:
            (kept if _task_of(record) in finished else dropped).append(record)
        usage, seconds = _spent(dropped)
        if usage != Usage() or seconds:
            # Before the steps go: a crash in between counts them twice rather than never.
            jsonl.append(path / DROPPED, {"usage": asdict(usage), "seconds": seconds})
        write_whole(path / "steps.jsonl", "".join(map(_line, kept)))
        write_whole(path / "episodes.jsonl", "".join(map(_line, episodes)))
        return RunFolder(path, config, finished, lock)

    def task_started(self, task: Task) -> None:
        """Nothing to keep yet."""

    def step_played(self, step: StepRecord) -> None:
        """Keeps the step."""
        jsonl.append(self.path / "steps.jsonl", step_record(step), durable=False)

    def task_ended(self, result: EpisodeResult) -> None:
        """Keeps the episode, unless it was interrupted: then it is missing."""
        if not result.interrupted:
            # An episode that is on the disk has all its steps there.
            jsonl.sync(self.path / "steps.jsonl")
            jsonl.append(self.path / "episodes.jsonl", episode_record(result))


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


def step_record(step: StepRecord) -> dict[str, Any]:
    """One line of steps.jsonl."""
    decision = step.decision
    record: dict[str, Any] = {
        **_task_record(step.task),
        "step": step.number,
        "tick": step.observation.sim_tick,
        "observation": step.observation.to_wire(),
        "ranking": ranking_record(step.ranking) if step.ranking else None,
        "prompt": list(decision.prompt),
        "reply": decision.reply,
        "model": decision.model,
        "action": step.action.to_wire(),
        "decided_by": decision.source,
        "why_not_model": decision.why_not_model,
        "reason": decision.reason,
        "refusals": [{"action": r.action.to_wire(), "reason": r.reason} for r in decision.refusals],
        "recommended": decision.recommended.to_wire() if decision.recommended else None,
        "feedback": step.feedback,
        "error": step.error,
        "done": step.done,
        "latency_s": {
            "ranking": round(step.ranking_s, 6),
            "decision": round(decision.latency_s, 6),
            "environment": round(step.environment_s, 6),
        },
        "tokens": _tokens(decision.usage.prompt_tokens, decision.usage.completion_tokens),
        "cost_usd": decision.usage.cost_usd,
    }
    if step.result:
        outcome = step.result.outcome
        record["outcome"] = {"reward": outcome.reward, "score": outcome.score, "info": dict(outcome.info)}
        if step.done:
            record["last_observation"] = step.result.observation.to_wire()
    return record


def episode_record(result: EpisodeResult) -> dict[str, Any]:
    """One line of episodes.jsonl."""
    usage = result.usage
    return {
        **_task_record(result.task),
        "score": result.score,
        "success": result.success,
        "steps": len(result.steps),
        "wrong_actions": result.wrong_actions,
        "mitigated_at_tick": result.mitigated_at_tick,
        "decisions": result.decisions,
        "tokens": _tokens(usage.prompt_tokens, usage.completion_tokens),
        "cost_usd": usage.cost_usd,
        "seconds": round(result.seconds, 3),
        "error": result.error,
        "root_causes": list(result.root_causes),
        "ranked_first_at_step": result.ranked_first_at_step,
        "remedied_at_step": result.remedied_at_step,
    }


def ranking_record(ranking: Ranking) -> dict[str, Any]:
    """A ranking as data; fault families are the labels' business and stay out."""
    return {
        "ranker": ranking.ranker,
        "verdict": ranking.verdict,
        "reason": ranking.reason,
        "unsure": ranking.unsure,
        "unsure_below": ranking.unsure_below,
        "incident_probability": ranking.incident_probability,
        "candidates": [
            {
                "service": c.service,
                "score": c.score,
                "probability": c.probability,
                "evidence": [evidence.text for evidence in c.evidence],
            }
            for c in ranking.candidates
        ],
    }


def _spent(steps: Iterable[Mapping[str, Any]]) -> tuple[Usage, float]:
    """What the model came to in these lines of steps.jsonl, and its seconds."""
    usage, seconds = Usage(), 0.0
    for step in steps:
        if step["prompt"]:
            tokens = step["tokens"]
            usage += Usage(1, tokens["prompt"], tokens["completion"], step["cost_usd"])
            seconds += step["latency_s"]["decision"]
    return usage, seconds


def _task_record(task: Task) -> dict[str, Any]:
    return {
        "task": task.name,
        "task_id": task.task_id,
        "difficulty": task.difficulty,
        "seed": task.seed,
        "max_ticks": task.max_ticks,
    }


def _task_of(record: Mapping[str, Any]) -> Task:
    fields = {name: record.get(name) for name in Task.model_fields}
    return parse(Task, fields, f"record of task {record.get('task')}")


def _tokens(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt": prompt, "completion": completion}


def _records(path: Path) -> list[dict[str, Any]]:
    return [record for _, record in jsonl.read(path)] if path.exists() else []


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
