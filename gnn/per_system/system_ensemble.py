"""What is known about one system besides the network, and how much each opinion counts.

Alert frequencies need past incidents; trees need their labels, too. The opinions are pooled as a weighted sum
of log probabilities (Genest and Zidek, "Combining Probability Distributions", Statistical Science 1986).

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
from gnn.per_system.alert_frequencies import FILE as ALERT_FREQUENCIES
from gnn.per_system.alert_frequencies import (
    MEAN,
    AlertFrequencies,
    load_alert_frequencies,
    save_alert_frequencies,
)
from gnn.per_system.trees import FILE as TREES
from gnn.per_system.trees import Trees, load_trees, save_trees

Floats = npt.NDArray[np.float64]

FILES = (ALERT_FREQUENCIES, TREES)
_HOME = 0.5  # share of known services from which an incident is of the system


class Pool(BaseModel):
    """The weight of each opinion, fitted on incidents that none of them had seen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NonNegativeFloat = 1.0
    forest: NonNegativeFloat = 0.0
    boosted: NonNegativeFloat = 0.0
    frequencies: NonNegativeFloat = 0.0
    known_from: NonNegativeFloat = 0.0  # trees name a fault with less chance than this: it is of another kind

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """In the order of `Opinions`."""
        return self.network, self.forest, self.boosted, self.frequencies

    @property
    def uses_trees(self) -> bool:
        """Whether trees count."""
        return self.forest > 0.0 or self.boosted > 0.0

    @property
    def uses_others(self) -> bool:
        """Whether anything but the network counts."""
        return self.uses_trees or self.frequencies > 0.0


# Without labels the weights cannot be fitted; these did well on three systems.
UNLABELLED = Pool(network=0.75, frequencies=0.75)


class Opinions(NamedTuple):
    """How likely each service of an incident is its root: log-probabilities (S,)."""

    network: Floats
    forest: Floats
    boosted: Floats
    frequencies: Floats
    known: float = 1.0  # how surely trees name the kind of fault


@dataclass(frozen=True, eq=False)
class SystemEnsemble:
    """Knows one system: by its alert frequencies and, with enough labels, by trees."""

    frequencies: AlertFrequencies
    trees: Trees | None = None
    pool: Pool = UNLABELLED

    def opinions(
        self, logits: npt.NDArray[np.floating], incident: Incident, graph: Graph, counted: bool = False
    ) -> Opinions:
        """Every opinion on an incident with at least one service; one that knows nothing treats all the same.

        Args:
            logits: the network's, calibrated: (S,).
            counted: whether the frequencies include this incident; then only the others count.
        """
        nothing = np.zeros(len(incident.services))
        surprises = self.frequencies.surprises(incident, counted)
        said = self.trees.scores(incident, graph, surprises) if self.trees else (nothing, nothing, 1.0)
        forest, boosted, known = said
        network, frequencies = log_softmax(logits), log_softmax(surprises[:, MEAN])
        return Opinions(network, log_softmax(forest), log_softmax(boosted), frequencies, known)

    def blend(self, logits: npt.NDArray[np.floating], incident: Incident, graph: Graph) -> Floats:
        """The pooled log-probabilities, up to a constant: (S,).

        An incident of another system keeps the network's own.
        """
        if not self.applies_to(incident):
            return log_softmax(logits)
        return pooled(self.opinions(logits, incident, graph), self.pool)

    def applies_to(self, incident: Incident) -> bool:
        """Whether the incident belongs to its system and has evidence that it can read."""
        if self.trees is not None and self.pool.uses_trees:
            return self.trees.vocabulary.knows(incident) >= _HOME
        return (
            self.pool.frequencies > 0.0
            and bool(incident.alerts)
            and self.frequencies.knows(incident) >= _HOME
        )

    def frequencies_for(self, incident: Incident) -> AlertFrequencies | None:
        """The alert frequencies of the incident's system, if they are known and count."""
        return self.frequencies if self.applies_to(incident) else None

    def with_routine(self, incident: Incident) -> Incident:
        """The incident with how usual its alerts are; as it is with trees, which learnt without that."""
        usual = None if self.pool.uses_trees else self.frequencies_for(incident)
        return usual.with_routine(incident) if usual else incident

    def with_pool(self, pool: Pool) -> "SystemEnsemble":
        """The same ensemble with other weights."""
        return replace(self, pool=pool)


def pooled(opinions: Opinions, pool: Pool) -> Floats:
    """One opinion (S,) out of all; trees say nothing of a fault that looks like none that they learnt."""
    *said, known = opinions
    weights = (Pool() if known < pool.known_from else pool).weights
    return np.asarray(np.array(weights) @ np.stack(said))


def save_ensemble(ensemble: SystemEnsemble | None, folder: Path) -> None:
    """Replaces the files of an earlier ensemble; the pool is kept in the card."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    if ensemble is not None:
        save_alert_frequencies(ensemble.frequencies, folder)
    if ensemble is not None and ensemble.trees is not None and ensemble.pool.uses_trees:
        save_trees(ensemble.trees, folder)


def load_ensemble(folder: Path, pool: Pool) -> SystemEnsemble:
    """Reads what `save_ensemble` wrote; trees only if `pool` uses them.

    Raises:
        AlertFrequenciesError: the frequencies are missing or damaged.
        TreesError: the trees are missing, damaged, or made for other features.
    """
    return SystemEnsemble(
        load_alert_frequencies(folder), load_trees(folder) if pool.uses_trees else None, pool
    )
