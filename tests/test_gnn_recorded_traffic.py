"""The shipped ranker on recorded traffic of a real FirewatchEnv server, zero-shot."""

from pathlib import Path

import numpy as np
import pytest

from data.episodes import read_episodes
from data.incident import Incident
from gnn.registry import make_ranker


@pytest.mark.parametrize(("observation", "least"), [(0, 0.97), (1, 0.99)])
def test_the_culprit_is_first(shared: Path, observation: int, least: float) -> None:
    """Each task counts once, however often it was played."""
    ranker = make_ranker("gnn")
    right: dict[tuple[object, ...], float] = {}
    for episode in read_episodes(shared / "firewatch" / "traffic"):
        seen = episode.before_remedies[: observation + 1]
        if episode.labels is not None and len(seen) > observation:
            task = episode.task.task_id, episode.task.difficulty, episode.task.seed
            first = ranker.rank(Incident.from_observations(seen)).services[0]
            right[task] = float(first in episode.labels.root_causes)
    assert len(right) > 100 and np.mean([*right.values()]) >= least
