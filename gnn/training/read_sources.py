"""From the options of a training to its job: every file is read, every simulated world is set up."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from data.channels import ChannelMap
from data.episodes import Episode, read_episodes
from data.errors import SettingsError
from data.incident import Incident
from data.labels import KnownRoots, apply_labels, label_incidents, read_labels
from data.simulator.batch.generate import simulate
from data.simulator.batch.healthy import healthy_windows
from data.sources.files.reading import read_incidents
from gnn.checkpoint import channel_map_for
from gnn.training.options import TrainOptions
from gnn.training.simulated_finetuning import WORLDS, worlds_of
from gnn.training.split_history import split_history
from gnn.training.training_job import TrainingJob


class Read(NamedTuple):
    """A job, and what was read for it."""

    job: TrainingJob
    rules: ChannelMap
    incidents: tuple[Incident, ...]
    known: KnownRoots  # root causes from elsewhere

    @property
    def names(self) -> Iterable[str]:
        """What labels may be given to."""
        incidents = (one.incident_id for one in self.incidents)
        return chain(incidents, (episode.task.name for episode in self.job.episodes))


def read_sources(asked: TrainOptions, out: Path) -> Read:
    """Reads everything that a training is asked to learn from.

    Raises:
        SchemaError: a file that does not parse.
        SettingsError: a source that holds nothing of its kind.
    """
    rules = channel_map_for(asked.rules, asked.starts)
    known = read_labels(asked.labels) if asked.labels else {}
    healthy = _incidents(asked.healthy)
    own: Iterable[Incident] = ()
    others: Iterable[Incident] = simulate(asked.simulate, asked.seed) if asked.simulate else ()
    if asked.healthy:
        windows = healthy_windows(healthy, rules)
        if not windows:
            raise SettingsError(
                f"--healthy {_listed(asked.healthy)}: no known metric with two healthy points – give windows "
                "with a baseline, or --rules FILE that gives their metric names a meaning"
            )
        own, others = worlds_of(windows, asked.simulate or WORLDS, asked.seed, rules)
    labelled, history = split_history(_incidents(asked.incidents, known), _incidents(asked.history, known))
    if asked.history and not history:
        raise SettingsError(f"--history {_listed(asked.history)}: no incident that is not labelled")
    if asked.history and asked.incidents and not labelled:
        raise SettingsError(f"--incidents {_listed(asked.incidents)}: no incident with a label; leave it out")
    dev = _incidents(asked.dev_incidents, known)
    job = TrainingJob(
        config=asked.config,
        out=out,
        episodes=_episodes(asked.episodes_from, known),
        incidents=labelled,
        history=history,
        simulated=others,
        overlaid=own,
        dev_incidents=dev,
        init=asked.start,
        teachers=asked.teacher,
        channel_map=rules,
    )
    return Read(job, rules, (*healthy, *labelled, *history, *dev), known)


def _episodes(paths: Sequence[Path], known: KnownRoots) -> tuple[Episode, ...]:
    episodes = tuple(chain.from_iterable(map(read_episodes, paths)))
    return apply_labels(episodes, known) if known else episodes


def _incidents(paths: Sequence[Path], known: KnownRoots = MappingProxyType({})) -> tuple[Incident, ...]:
    return label_incidents(chain.from_iterable(map(read_incidents, paths)), known)


def _listed(paths: Sequence[Path]) -> str:
    return " ".join(map(str, paths))
