"""What is known of one system beside the network, and how much each opinion counts.

Habits need past incidents, trees need their labels. The opinions of all are pooled as a weighted sum of log
probabilities (Genest and Zidek, "Combining Probability Distributions", Statistical Science 1986).

Shapes: S services.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeFloat

from data.incident import Incident
from gnn.features.featurize import Graph
from gnn.network.softmax import log_softmax
from gnn.per_system.alert_frequencies import FILE as HABITS
from gnn.per_system.alert_frequencies import MEAN, Habits, load_habits, save_habits
from gnn.per_system.trees import FILE as TREES
from gnn.per_system.trees import Trees, load_trees, save_trees

Floats = npt.NDArray[np.float64]

FILES = (HABITS, TREES)
_HOME = 0.5  # share of known services from which an incident is of the system


class Pool(BaseModel):
    """How much each opinion counts; what fits best on incidents that none had seen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NonNegativeFloat = 1.0
    forest: NonNegativeFloat = 0.0
    boosted: NonNegativeFloat = 0.0
    habits: NonNegativeFloat = 0.0

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """In the order of `Opinions`."""
        return self.network, self.forest, self.boosted, self.habits

    @property
    def hears_trees(self) -> bool:
        """Whether trees count."""
        return self.forest > 0.0 or self.boosted > 0.0

    @property
    def hears_others(self) -> bool:
        """Whether anybody but the network counts."""
        return self.hears_trees or self.habits > 0.0


# Without a label nothing tells how much habits should count; this served lists of alerts of three systems.
UNLABELLED = Pool(network=0.75, habits=0.75)


class Opinions(NamedTuple):
    """How likely each service of an incident is its root: log-probabilities (S,)."""

    network: Floats
    forest: Floats
    boosted: Floats
    habits: Floats


@dataclass(frozen=True, eq=False)
class Specialist:
    """Knows one system: by its habits and, where there were enough labels, by trees."""

    habits: Habits
    trees: Trees | None = None
    pool: Pool = UNLABELLED

    def opinions(
        self, logits: npt.NDArray[np.floating], incident: Incident, graph: Graph, counted: bool = False
    ) -> Opinions:
        """What each says of an incident with at least one service; who knows nothing calls all alike.

        Args:
            logits: the network's, calibrated: (S,).
            incident: what is ranked.
            graph: its features.
            counted: the habits count it among the past incidents; it is judged by the others.
        """
        nothing = np.zeros(len(incident.services))
        surprises = self.habits.surprises(incident, counted)
        forest, boosted = self.trees.scores(incident, graph, surprises) if self.trees else (nothing, nothing)
        said = (logits, forest, boosted, surprises[:, MEAN])
        return Opinions(*map(log_softmax, said))

    def blend(self, logits: npt.NDArray[np.floating], incident: Incident, graph: Graph) -> Floats:
        """The pooled log-probabilities, up to a constant: (S,).

        An incident of another system keeps the network's own.

        Args:
            logits: the network's, calibrated: (S,).
            incident: what is ranked.
            graph: its features.
        """
        if not self.is_heard(incident):
            return log_softmax(logits)
        return pooled(self.opinions(logits, incident, graph), self.pool)

    def is_heard(self, incident: Incident) -> bool:
        """Whether it has something to say: of its own system, and on evidence that it reads."""
        if self.trees is not None and self.pool.hears_trees:
            return self.trees.vocabulary.knows(incident) >= _HOME
        return self.pool.habits > 0.0 and bool(incident.alerts) and self.habits.knows(incident) >= _HOME

    def habits_for(self, incident: Incident) -> Habits | None:
        """What is usual where the incident is from, if that is known and counts."""
        return self.habits if self.is_heard(incident) else None

    def heard(self, pool: Pool) -> "Specialist":
        """The same with another say."""
        return replace(self, pool=pool)


def pooled(opinions: Opinions, pool: Pool) -> Floats:
    """One opinion (S,) out of all."""
    return np.asarray(np.array(pool.weights) @ np.stack(opinions))


def save_specialist(specialist: Specialist | None, folder: Path) -> None:
    """Writes habits and the trees that are heard, over an earlier one's; the pool belongs into the card."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    if specialist is not None:
        save_habits(specialist.habits, folder)
    if specialist is not None and specialist.trees is not None and specialist.pool.hears_trees:
        save_trees(specialist.trees, folder)


def load_specialist(folder: Path, pool: Pool) -> Specialist:
    """Reads what `save_specialist` wrote; trees only if `pool` hears them.

    Raises:
        HabitsError: the habits are missing or damaged.
        TreesError: the trees are missing, damaged, or made for other features.
    """
    return Specialist(load_habits(folder), load_trees(folder) if pool.hears_trees else None, pool)
