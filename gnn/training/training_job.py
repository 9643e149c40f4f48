"""A training job: its sources, what belongs together in them, and what is held out."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.channels import ChannelMap, OwnRules
from data.episodes import Episode
from data.errors import FirewatchError
from data.incident import Incident
from gnn.per_system.alert_frequencies import AlertFrequencies
from gnn.training.progress import OnStage, ignore_stage
from gnn.training.train import Epoch, TrainConfig
from gnn.training.workers import ALONE, Workers

_WINDOWS = 5  # windows of an episode that are learnt from: after its first, second … fifth observation
_DEV_SHARE = 0.15


class TrainingError(FirewatchError):
    """There is nothing to learn from, or the starting checkpoint does not fit."""


@dataclass(frozen=True)
class TrainingJob:
    """One training job; sources may be mixed.

    The epoch that ranks `dev_incidents` best is kept; without them, the best on what the sources hold out.
    With `init` and a handful of labels, each of them is held out once (`finetuning`); with enough labels of
    one system the network stays as it is, and trees are grown (`cross_fitting`). With `init` and
    `overlaid` the only other source is `simulated`, and both are needed (`simulated_finetuning`). With `init`
    and `history` alone nothing is trained: what is usual in the system is counted (`alert_frequencies`).
    """

    config: TrainConfig
    out: Path
    episodes: Sequence[Episode] = ()
    incidents: Sequence[Incident] = ()
    history: Sequence[Incident] = ()  # past incidents of the system of `incidents`; no labels needed
    simulated: Iterable[Incident] = ()
    overlaid: Iterable[Incident] = ()  # faults laid over the healthy past of the system
    dev_incidents: Sequence[Incident] = ()
    init: Path | None = None
    teachers: Sequence[Path] = ()  # checkpoints whose scores are learnt instead of the labels
    channel_map: ChannelMap | None = None  # how metric names are read; None: as `init` or `teachers` do
    git: str | None = None
    on_epoch: Callable[[Epoch], None] = field(default=lambda epoch: None)  # of the network that is kept
    on_stage: OnStage = ignore_stage  # told of everything else that takes long
    workers: Workers = ALONE  # the processes that run this job together
    state: Path | None = None  # the file that each epoch is kept in, to resume from

    @property
    def starts(self) -> tuple[Path, ...]:
        """The checkpoints that it begins with or learns from."""
        return (self.init, *self.teachers) if self.init else tuple(self.teachers)

    @property
    def own_rules(self) -> OwnRules | None:
        """The rules by which metric names are read before the default ones."""
        return self.channel_map.own if self.channel_map else None


def windows_of(episodes: Iterable[Episode]) -> Iterator[Incident]:
    """The labelled incidents that an agent would have seen in each episode before any remedy.

    Episodes without known root causes are left out.
    """
    for episode in episodes:
        if episode.labels is None:
            continue
        seen = episode.before_remedies
        fault = "+".join(episode.labels.fault_types)
        for length in range(1, min(len(seen), _WINDOWS) + 1):
            window = Incident.from_observations(seen[:length], f"{episode.task.name}@{length - 1}")
            yield window.labelled(
                episode.labels.root_causes, fault, system=f"episodes-{episode.task.difficulty}"
            )


def is_dev(group: str) -> bool:
    """Whether the examples of a group are held out for selection."""
    return zlib.crc32(group.encode()) % 1000 < 1000 * _DEV_SHARE


def refuse_foreign_history(job: TrainingJob) -> None:
    """Refuses past incidents that are not of the one system that is trained on.

    Raises:
        TrainingError: they are of another system, hold no alerts, or other sources are given.
    """
    if job.episodes or job.simulated or job.overlaid or job.teachers:
        raise TrainingError("past incidents are of one system: train on incidents of that system, or on none")
    if not AlertFrequencies.of(job.history).past:
        raise TrainingError(
            "the past incidents hold no alerts – leave them out: time series bring their own baselines"
        )
    ours, theirs = ({name for one in of for name in one.services} for of in (job.incidents, job.history))
    if ours and theirs and not ours & theirs:
        raise TrainingError(
            f"the past incidents are of another system: it has services such as '{min(theirs)}' and none of "
            f"those learnt from, such as '{min(ours)}' – give past incidents of the same system, or none"
        )
