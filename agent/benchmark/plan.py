"""The options of an ablation, and the folder with its partial results."""

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent.benchmark.arms import WRONG, Arm, PolicySpec, RankerSpec
from agent.benchmark.hint_use import ArmEpisode
from agent.benchmark.results import FORMAT, AblationResult, RankedSource, RankingsLine
from agent.play.config import Playing, RunConfig, TaskChoice, env_option
from agent.records.lines import Key
from agent.records.provenance import folder_hash, git_revision, versions
from agent.settings import Settings
from data.errors import SettingsError
from data.files import jsonl
from data.files.folder_lock import hold
from data.files.json_file import read_object
from data.files.whole_file import write_whole
from data.observation import Task, parse
from data.options import Cases, Common, WorkerOptions, option
from gnn.options import Checkpoint
from gnn.registry import RANKERS

RESULT = "ablation.json"
# Observations without remedies on which rankers are compared, including the first.
WATCHED = 6

_CI = "For continuous integration"
# Options that affect results: all results in a folder have the same values of these.
_DECISIVE = (
    "env", "transport", "seed", "checkpoint", "task_timeout_s", "models", "api_base_url", "temperature",
    "max_tokens", "model", "adapter", "prompt_budget",
)  # fmt: skip


# Larger than the differences between the catalogue's seeds.
_SEED_STRIDE = 100_003


@dataclass(frozen=True)
class Played:
    """An arm and the records of its episodes."""

    arm: Arm
    episodes: Sequence[ArmEpisode]


class Ablation(Common, WorkerOptions, Playing, Cases):
    """The options of `ablate`."""

    env: str | None = env_option("embedded")
    seeds: int = option(1, "Play each task in N worlds, drawn from N seeds.", metavar="N", ge=1)
    rankers: tuple[str, ...] = option(
        ("gnn", "heuristic", "mlp", "untrained", "random", "pagerank", "zscore", "none"),
        f"The first is the reference. One or more of {', '.join(RANKERS)}, "
        "wrong (hints that point away from the truth), or NAME@DIR for other weights.",
        name="--ranker",
        metavar="NAME[,NAME…]",
        separated=True,
    )
    policies: tuple[str, ...] = option(
        ("rules",),
        "One or more of rules, legacy-rules, llm, llm-without-hints, explore, or llm@DIR for another "
        "model or adapter; llm@smol is SmolLM2 without one.",
        name="--policy",
        metavar="NAME[,NAME…]",
        separated=True,
    )
    ranking_only: bool = option(False, "Play nothing: rank only the sources named below.")
    checkpoint: Checkpoint | None = option(
        None, "The weights of rankers that name none. Default: the shipped ones.", metavar="DIR"
    )
    out: Path | None = option(None, "Folder for the results.", metavar="DIR", recorded=False)
    jobs: int = option(2, "Processes, or actors with --ray.", metavar="N", ge=1, le=256, recorded=False)
    steps: bool = option(False, "Save every step, with prompt and reply, in a run folder per arm.")
    against: Path | None = option(
        None, "An earlier ablation.json to compare with.", metavar="RESULT", panel=_CI, recorded=False
    )
    fail_if: tuple[str, ...] = option(
        (),
        "With --against: exit with 1 if the difference meets this, such as 'ac@1 < -0.02'; repeatable.",
        metavar="CONDITION",
        panel=_CI,
        recorded=False,
    )

    def completed(self, settings: Settings) -> Self:
        """A copy with the chosen tasks and the configured model filled in."""
        tasks = () if self.ranking_only else under_seeds(self.chosen(self.seed), self.seeds)
        asks_a_model = any(name.startswith(("llm", "auto")) and "@" not in name for name in self.policies)
        told = self.model_facts(settings, "llm" if asks_a_model else "rules")
        # Each arm has the budget that its adapter was trained with, unless one was asked for.
        return self.model_copy(update={"tasks": tasks, **told, "prompt_budget": self.prompt_budget})

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What is played."""
        return () if self.ranking_only else Arm.all(self.rankers, self.policies)

    @property
    def compared_rankers(self) -> tuple[str, ...]:
        """The rankers whose rankings are worth comparing."""
        return tuple(text for text in self.rankers if self.spec(text).name not in ("none", WRONG))

    def spec(self, ranker: str) -> RankerSpec:
        """Parses one of `rankers`."""
        return RankerSpec.read(ranker, self.checkpoint)

    def run_config(self, arm: Arm, tasks: tuple[Task, ...] = ()) -> RunConfig:
        """The run configuration of one arm."""
        spec, policy = self.spec(arm.ranker), PolicySpec.read(arm.policy)
        asking = policy.asking(self)
        names = Playing.model_fields.keys() - TaskChoice.model_fields.keys() - {"concurrency"}
        shared = {name: getattr(asking, name) for name in names}
        return RunConfig(
            **shared
            | {
                "tasks": tasks,
                "ranker": spec.name,
                "checkpoint": spec.checkpoint,
                "policy": policy.name,
                "hints": spec.name != "none",
                "seed": self.seed,
                "models": asking.models if policy.name in ("llm", "auto") else (),
            }
        )

    def weights(self) -> dict[str, str]:
        """The hash of the weights of each ranker and adapter, if it has any."""
        folders = {text: self.spec(text).weights for text in self.rankers}
        configs = {arm.policy: self.run_config(arm) for arm in self.arms}
        folders |= {policy: config.adapter for policy, config in configs.items() if config.models}
        return {text: folder_hash(path) for text, path in folders.items() if path and path.is_dir()}


def under_seeds(tasks: Sequence[Task], seeds: int) -> tuple[Task, ...]:
    """Repeats the tasks with other seeds: the same scenarios in other worlds."""
    return tuple(
        task.model_copy(update={"seed": task.seed + number * _SEED_STRIDE})
        for number in range(seeds)
        for task in tasks
    )


class AblationFolder:
    """The files of one ablation; every line is one result, so that a killed ablation can continue."""

    def __init__(self, path: Path, ablation: Ablation) -> None:
        """Opens the folder; nothing is written before `begin`.

        Raises:
            SettingsError: it holds results with other options or weights.
        """
        self.path = path
        self.ablation = ablation
        self.facts: Mapping[str, Any] = _facts(ablation)
        self._plan = path / "plan.json"
        if self._plan.exists():
            _check_same(read_object(self._plan), self.facts, path)

    def begin(self) -> None:
        """Locks the folder and records the options, which are fixed from then on."""
        self._lock = hold(self.path)
        write_whole(self._plan, json.dumps(self.facts, indent=2) + "\n")

    @property
    def watched(self) -> Path:
        """The first observations of every task, without any remedies."""
        return self.path / "watched.jsonl"

    @property
    def episodes(self) -> dict[tuple[str, Key], ArmEpisode]:
        """The latest record of every arm, task and seed."""
        found = (parse(ArmEpisode, raw, str(self.path)) for raw in self._records("episodes.jsonl"))
        return {(episode.arm, episode.key): episode for episode in found}

    @property
    def rankings(self) -> dict[tuple[str, str], tuple[RankedSource, ...]]:
        """The results by (ranker, source)."""
        found = (parse(RankingsLine, raw, str(self.path)) for raw in self._records("rankings.jsonl"))
        return {(line.ranker, line.asked): line.results for line in found}

    def keep_episodes(self, episodes: Iterable[ArmEpisode]) -> None:
        """Saves played tasks and flushes them to disk."""
        for episode in episodes:
            jsonl.append(self.path / "episodes.jsonl", as_json(episode.record()))

    def keep_rankings(self, line: RankingsLine) -> None:
        """Saves the results of one ranker on one source."""
        jsonl.append(self.path / "rankings.jsonl", as_json(line.record()))

    def _records(self, name: str) -> list[dict[str, Any]]:
        path = self.path / name
        return [record for _, record in jsonl.read(path)] if path.exists() else []


def write_result(path: Path, result: AblationResult) -> None:
    """Writes a compact result file, with one line per list item."""
    parts = [f"{json.dumps(name)}: {_part(value)}" for name, value in as_json(result.record()).items()]
    write_whole(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _part(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(map(_compact, value)) + "\n]"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def as_json(value: Any) -> Any:
    """The value in JSON form: with six decimals, and null for NaN."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value


def _facts(ablation: Ablation) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "config": ablation.model_dump(mode="json"),
        "weights_sha256": ablation.weights(),
        "git": git_revision(),
        "versions": versions(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    for name in _DECISIVE:
        if before["config"][name] != now["config"][name]:
            raise SettingsError(
                f"{path}: its results were made with {name}={before['config'][name]} – choose another --out"
            )
    for ranker in set(before["weights_sha256"]) & set(now["weights_sha256"]):
        if before["weights_sha256"][ranker] != now["weights_sha256"][ranker]:
            raise SettingsError(
                f"{path}: its results were made with other weights of '{ranker}' – choose another --out"
            )
