"""Episodes: their form, their store, and recorded server traffic read as episodes."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.actions import is_remedy
from data.errors import SchemaError
from data.files import jsonl
from data.files.whole_file import write_whole
from data.observation import Action, Difficulty, Observation, Step, Task, parse, parse_step

FORM = "an episode as 'firewatch collect' stores it, or recorded traffic"

Line = tuple[int, dict[str, Any]]  # number from 1, content

_log = logging.getLogger(__name__)


class Labels(BaseModel):
    """The root causes, and how they are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root_causes: tuple[str, ...]
    # From the environment, a labels file, the effect of remedies, or the metadata of recorded traffic.
    origin: Literal["environment", "file", "outcome", "recorded"]
    fault_types: tuple[str, ...] = ()


class Episode(BaseModel):
    """One incident from the first observation to the last; `actions[i]` led to `observations[i + 1]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    # Where it was played: an environment's name, or the recording.
    source: str
    policy: str
    observations: tuple[Observation, ...]
    actions: tuple[Action, ...]
    feedback: tuple[str, ...]
    score: float | None = None
    labels: Labels | None = None

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        if not len(self.observations) - 1 == len(self.actions) == len(self.feedback):
            raise ValueError("an episode has one observation more than it has actions and feedback")
        return self

    @property
    def before_remedies(self) -> tuple[Observation, ...]:
        """The observations up to the first remedy: the untreated incident."""
        for index, action in enumerate(self.actions):
            if is_remedy(action):
                return self.observations[: index + 1]
        return self.observations

    def to_wire(self) -> dict[str, Any]:
        """The JSON form; `parse(Episode, e.to_wire(), …) == e`."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class EpisodeStore:
    """A file of episodes, one per line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, episode: Episode) -> None:
        """Adds one episode and flushes it to disk."""
        jsonl.append(self._path, episode.to_wire())

    def put_in_order(self, tasks: Sequence[Task]) -> None:
        """Rewrites the file in the order of the tasks, so that it is the same whoever played them when."""
        places = {task: place for place, task in enumerate(tasks)}
        stored = self.read()
        ordered = sorted(stored, key=lambda episode: places.get(episode.task, len(places)))
        if ordered != list(stored):
            write_whole(self._path, b"".join(jsonl.line_of(episode.to_wire()) for episode in ordered))

    def read(self) -> tuple[Episode, ...]:
        """The episodes stored so far."""
        return read_episodes(self._path, form="") if self._path.exists() else ()


def read_episodes(path: Path, form: str = FORM) -> tuple[Episode, ...]:
    """Reads a store file, recorded server traffic, or a folder of either.

    Recorded exchanges that cannot be part of an episode are left out and logged.

    Args:
        form: as in `jsonl.read`; "" if the file may be empty.

    Raises:
        SchemaError: names file, line and field.
    """
    episodes: list[Episode] = []
    for file in jsonl.files(path):
        lines = list(jsonl.read(file, form))
        if not is_recording(lines):
            episodes.extend(parse(Episode, raw, f"{file}:{number}") for number, raw in lines)
            continue
        recording = replay(lines, str(file))
        for number, reason in recording.left_out:
            _log.info("%s:%d: left out: %s", file, number, reason)
        if recording.episode is not None:
            episodes.append(recording.episode)
    return tuple(episodes)


def is_recording(lines: Sequence[Line]) -> bool:
    """Whether a file is recorded traffic: a first line `{"meta": …}`, then one HTTP exchange per line."""
    return bool(lines) and set(lines[0][1]) == {"meta"}


@dataclass(frozen=True)
class RecordedEpisode:
    """Recorded traffic as an episode."""

    episode: Episode | None
    left_out: tuple[tuple[int, str], ...]  # line number, reason


class _Meta(BaseModel):
    """The first line of recorded traffic."""

    task_id: str | None
    difficulty: Difficulty
    seed: int
    max_ticks: Annotated[int, Field(gt=0)]
    policy: str
    root_causes: tuple[str, ...] = ()
    fault_types: tuple[str, ...] = ()


def replay(lines: Sequence[Line], where: str) -> RecordedEpisode:
    """Reads recorded traffic as an episode; None without usable metadata in the first line."""
    number, first = lines[0]
    try:
        meta = parse(_Meta, first["meta"], f"{where}:{number}")
    except SchemaError as error:
        return RecordedEpisode(None, ((number, f"not the recording of one episode: {error}"),))

    steps: list[Step] = []
    actions: list[Action] = []
    left_out: list[tuple[int, str]] = []
    for number, exchange in lines[1:]:
        try:
            action, step = _exchange(exchange, f"{where}:{number}")
        except SchemaError as error:
            left_out.append((number, str(error)))
            continue
        if action is None and steps:
            left_out.append((number, "a second reset: what follows is of another episode"))
            break
        if action is not None and not steps:
            left_out.append((number, "a step before the reset"))
        elif not step.observation.services:
            left_out.append((number, step.error or "the answer shows no services"))
        else:
            steps.append(step)
            actions.extend([action] if action else [])
    if not steps:
        return RecordedEpisode(None, (*left_out, (number, "no reset that started an episode")))
    return RecordedEpisode(_assemble(meta, steps, actions, Path(where).name), tuple(left_out))


def _exchange(exchange: Mapping[str, Any], where: str) -> tuple[Action | None, Step]:
    """The action (None for a reset) and the answer.

    Raises:
        SchemaError: neither a reset nor a step, refused by the server, or unreadable.
    """
    path, status = exchange.get("path"), exchange.get("status")
    if path not in ("/reset", "/step"):
        raise SchemaError(where, "path", path, "only /reset and /step make an episode")
    if status != 200:
        raise SchemaError(where, "status", status, "the server refused the request")
    step = parse_step(exchange.get("response"), where)
    request = exchange.get("request") or {}
    if not isinstance(request, dict):
        raise SchemaError(where, "request", request, "the body of a request is an object")
    return (None if path == "/reset" else parse(Action, request.get("action"), where)), step


def _assemble(meta: _Meta, steps: Sequence[Step], actions: Sequence[Action], source: str) -> Episode:
    labels = None
    if meta.root_causes:
        labels = Labels(root_causes=meta.root_causes, origin="recorded", fault_types=meta.fault_types)
    scores = [step.outcome.score for step in steps if step.outcome.score is not None]
    return Episode(
        task=Task(task_id=meta.task_id, difficulty=meta.difficulty, seed=meta.seed, max_ticks=meta.max_ticks),
        source=source,
        policy=meta.policy,
        observations=tuple(step.observation for step in steps),
        actions=tuple(actions),
        feedback=tuple(step.feedback for step in steps[1:]),
        score=scores[-1] if scores else None,
        labels=labels,
    )
