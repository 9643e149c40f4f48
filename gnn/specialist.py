"""What one system's own labels teach: which of its names speak for a root cause, asked of a forest.

The network sees only what travels between systems. A forest over the system's own vocabulary sees the rest: this
log line means a failed login, that metric is the noisy one. It tells which fault an incident looks like, and for
each service whether it would be the root of such a fault. Both opinions are pooled as a weighted sum of their log
probabilities (Genest and Zidek, "Combining Probability Distributions", Statistical Science 1986).

Shapes: S services, K faults.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from data.incident import Incident
from gnn.features import Graph
from gnn.forest import Forest, grow
from gnn.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]

TREES = 150
_COLUMNS = 0.2  # share of the columns that a split chooses from
_FLOOR = 1e-3  # no service is ruled out
_RARE = 0.02  # added to a fault's share before dividing by it
_HOME = 0.5  # share of known services from which an incident is of the system


@dataclass(frozen=True)
class Pool:
    """How much each opinion counts; what fits best on incidents that neither had seen."""

    network: float = 1.0
    forest: float = 0.0


@dataclass(frozen=True, eq=False)
class Specialist:
    """A forest that knows one system, and how much it is heard."""

    vocabulary: Vocabulary
    faults: Floats  # (K,) share of each fault among the labels
    of_service: Forest  # class 0: no root; class 1 + k: the root of fault k
    of_incident: Forest  # class k: it is fault k
    pool: Pool = Pool()

    def chances(self, incident: Incident, graph: Graph) -> Floats:
        """How likely each service is the root by the system's own words: (S,), of sum 1."""
        rows, whole = self.vocabulary.rows(incident)
        fault = self.of_incident.predict(whole[None])[0]  # (K,)
        root = self.of_service.predict(np.hstack([rows, graph.x]))[:, 1:]  # (S, K)
        chance = root @ (fault / (self.faults + _RARE)) + _FLOOR
        return np.asarray(chance / chance.sum())

    def blend(self, logits: npt.NDArray[np.floating], incident: Incident, graph: Graph) -> Floats:
        """The pooled log-probabilities, up to a constant: (S,).

        An incident of another system keeps the network's own.

        Args:
            logits: the network's, calibrated: (S,).
            incident: what is ranked.
            graph: its features.
        """
        own = log_softmax(logits)
        if not self.pool.forest or self.vocabulary.knows(incident) < _HOME:
            return own
        return pooled(own, np.log(self.chances(incident, graph)), self.pool)

    def heard(self, pool: Pool) -> "Specialist":
        """The same with another say."""
        return replace(self, pool=pool)


def pooled(network: Floats, forest: Floats, pool: Pool) -> Floats:
    """One opinion out of two log-probabilities (S,)."""
    return np.asarray(pool.network * network + pool.forest * forest)


def grow_specialist(incidents: Sequence[Incident], graphs: Sequence[Graph], seed: int) -> Specialist:
    """Learns from labelled incidents of one system; it is not heard until a pool is chosen.

    Args:
        incidents: at least one with a root among its services.
        graphs: their features.
        seed: same seed, same forest.
    """
    vocabulary = Vocabulary.of(incidents)
    counts = Counter(incident.fault for incident in incidents if incident.root_causes)
    names = sorted(counts)
    number = {name: index for index, name in enumerate(names)}
    rows: list[Floats] = []
    wholes: list[Floats] = []
    roots: list[int] = []
    faults: list[int] = []
    for incident, graph in zip(incidents, graphs, strict=True):
        of_services, whole = vocabulary.rows(incident)
        rows.append(np.hstack([of_services, graph.x]))
        its = number[incident.fault] if incident.root_causes else -1
        roots += [1 + its if service in incident.root_causes else 0 for service in incident.services]
        if its >= 0:
            wholes.append(whole)
            faults.append(its)
    share = np.array([counts[name] for name in names]) / len(faults)
    settings = {"columns": _COLUMNS, "trees": TREES}
    of_service = grow(np.vstack(rows), np.array(roots, np.int32), 1 + len(names), seed, **settings)  # type: ignore[arg-type]
    of_incident = grow(np.vstack(wholes), np.array(faults, np.int32), len(names), seed, **settings)  # type: ignore[arg-type]
    return Specialist(vocabulary, share, of_service, of_incident)


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Log-probabilities (S,) of logits (S,)."""
    shifted = np.asarray(logits, dtype=float) - float(np.max(logits))
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))
