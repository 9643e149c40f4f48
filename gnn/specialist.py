"""What one system's own labels teach: which of its names speak for a root cause, asked of a forest.

The network sees only what travels between systems. A forest over one system's vocabulary sees the rest: this
log line means a failed login, that metric is a noisy one. It tells which fault an incident looks like, and of
each service whether it would be the root of such a fault. The two opinions are pooled as a weighted sum of
log probabilities (Genest and Zidek, "Combining Probability Distributions", Statistical Science 1986).

Shapes: S services, K faults.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, NonNegativeFloat

from data.errors import FirewatchError
from data.incident import Incident
from gnn.features import SERVICE_FEATURES, Graph
from gnn.forest import Forest, grow
from gnn.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]

FILE = "specialist.safetensors"
_TREES = 150
_COLUMNS = 0.2  # share of the columns that a split chooses from
_FLOOR = 1e-3  # no service is ruled out
_RARE = 0.02  # added to a fault's share before dividing by it
_HOME = 0.5  # share of known services from which an incident is of the system


class SpecialistError(FirewatchError):
    """A specialist's file that is missing, damaged, or made for other features."""


class Pool(BaseModel):
    """How much each opinion counts; what fits best on incidents that neither had seen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NonNegativeFloat = 1.0
    forest: NonNegativeFloat = 0.0


_ALONE = Pool()


@dataclass(frozen=True, eq=False)
class Specialist:
    """A forest that knows one system, and how much it is heard."""

    vocabulary: Vocabulary
    faults: Floats  # (K,) share of each fault among the labels
    of_service: Forest  # class 0: no root; class 1 + k: the root of fault k
    of_incident: Forest  # class k: it is fault k
    pool: Pool = _ALONE

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
    of_service = _forest(rows, roots, 1 + len(names), seed)
    of_incident = _forest([whole[None] for whole in wholes], faults, len(names), seed)
    return Specialist(vocabulary, share, of_service, of_incident)


def _forest(rows: Sequence[Floats], classes: Sequence[int], count: int, seed: int) -> Forest:
    of = np.array(classes, dtype=np.int32)
    return grow(np.vstack(rows), of, count, seed, columns=_COLUMNS, trees=_TREES)


def save_specialist(specialist: Specialist, folder: Path) -> None:
    """Writes the forests as tensors and the names as text beside them; the pool belongs into the card."""
    from safetensors.numpy import save_file

    arrays = {"faults": specialist.faults}
    arrays |= specialist.of_service.arrays("service.") | specialist.of_incident.arrays("incident.")
    names = {"tokens": specialist.vocabulary.tokens, "services": specialist.vocabulary.services}
    metadata = {name: json.dumps(value, ensure_ascii=False) for name, value in names.items()}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, folder / FILE, metadata)


def load_specialist(folder: Path, pool: Pool) -> Specialist:
    """Reads what `save_specialist` wrote.

    Raises:
        SpecialistError: no such file, a damaged one, or one made for other features.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        names = {name: tuple(map(str, json.loads(metadata[name]))) for name in ("tokens", "services")}
        vocabulary = Vocabulary(**names)
        of_service = Forest.from_arrays(arrays, "service.")
        of_incident = Forest.from_arrays(arrays, "incident.")
        faults = arrays["faults"]
        _check(vocabulary, faults, of_service, of_incident)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise SpecialistError(f"{path}: {reason} – train it again with 'firewatch train'") from None
    return Specialist(vocabulary, faults, of_service, of_incident, pool)


def _check(vocabulary: Vocabulary, faults: Floats, of_service: Forest, of_incident: Forest) -> None:
    width = len(vocabulary.tokens)
    if of_service.column.max() >= vocabulary.width + len(SERVICE_FEATURES):
        raise ValueError("its columns are not those of this code")
    if of_incident.column.max() >= 2 * width:
        raise ValueError("its names and its columns do not fit")
    if faults.shape != (of_incident.share.shape[1],) or of_service.share.shape[1] != 1 + len(faults):
        raise ValueError("its faults do not fit")


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Log-probabilities (S,) of logits (S,)."""
    shifted = np.asarray(logits, dtype=float) - float(np.max(logits))
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))
