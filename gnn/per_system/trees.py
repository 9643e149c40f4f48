"""Trees that learn from one system's labels which of its names point to a root cause.

The network sees only what travels between systems. Trees over one system's vocabulary see the rest: this
log line means a failed login, that metric is a noisy one. A forest tells which fault an incident looks like,
and of each service whether it would be the root of such a fault; boosted trees tell who stands out in the
incident as roots do.

Shapes: S services, K faults.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.errors import FirewatchError
from data.files.whole_file import write_whole
from data.incident import Incident
from gnn.features.featurize import SERVICE_FEATURES, Graph
from gnn.features.nan_statistics import share_below
from gnn.per_system.alert_frequencies import SURPRISES, AlertFrequencies
from gnn.per_system.boosting import RUNS, boost
from gnn.per_system.forest import Forest, grow
from gnn.per_system.vocabulary import Vocabulary

Floats = npt.NDArray[np.float64]

FILE = "trees.safetensors"
# Raised whenever the columns of the trees change; a file of another format is refused.
FORMAT = "4"
_FORESTS = ("of_service", "of_unusual", "of_incident", "boosted")
PARTS = 3 + RUNS  # that trees are grown in: three forests and the boosted runs
_TREES = 100
_COLUMNS = 0.2  # share of the columns that a split chooses from
_FLOOR = 1e-3  # added to every chance, so that no service is ruled out
_RARE = 0.02  # added to a fault's share before dividing by it
_FEW = 3  # labels of a fault below which it is not told from others
_OTHER = ""


class TreesError(FirewatchError):
    """A file of trees that is missing, damaged, or made for other features."""


class TreeScores(NamedTuple):
    """How likely each service is the root, by each kind of tree, up to a constant: logits (S,)."""

    forest: Floats
    boosted: Floats
    known: float  # the chance of the kind of fault that the incident looks most like


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees that know one system."""

    vocabulary: Vocabulary
    faults: Floats  # (K,) share of each fault among the labels
    usual: Floats  # (services + 1, V + 8) what each service says on average; last, what any does
    of_service: Forest  # class 0: no root; class 1 + k: the root of fault k
    # Likewise; it also reads how the service differs from its own average and from the other services, and
    # how surprising its alerts are.
    of_unusual: Forest
    of_incident: Forest  # class k: it is fault k
    boosted: Forest  # how much each service stands out as a root

    def scores(self, incident: Incident, graph: Graph, surprises: Floats) -> TreeScores:
        """The scores for an incident with at least one service.

        Args:
            surprises: (S, 6) how little its alerts were to be expected.
        """
        rows, whole = self.vocabulary.rows(incident)
        chance = self.of_incident.predict(whole[None])[0]
        fault = chance / (self.faults + _RARE)  # (K,)
        usual = self.usual[self.vocabulary.numbers(incident)]
        plain, unusual = _described(rows, graph, usual, surprises)
        of_plain = self.of_service.predict(plain)[:, 1:] @ fault + _FLOOR  # (S,)
        of_unusual = self.of_unusual.predict(unusual)[:, 1:] @ fault + _FLOOR
        return TreeScores(
            forest=np.log(of_plain / of_plain.sum() * of_unusual / of_unusual.sum()) / 2.0,
            boosted=self.boosted.predict(unusual)[:, 0],
            known=float(chance.max()),
        )


def grow_trees(
    incidents: Sequence[Incident],
    graphs: Sequence[Graph],
    frequencies: AlertFrequencies,
    seed: int,
    on_part: Callable[[], None] = lambda: None,
) -> Trees:
    """Learns from labelled incidents of one system.

    Args:
        incidents: at least one with a root among its services.
        frequencies: what is usual in the system; `incidents` are counted in them.
        on_part: called after each of `PARTS`.
    """
    from sklearn import config_context

    vocabulary = Vocabulary.of(incidents)
    names = _faults(incidents)
    described = [vocabulary.rows(incident) for incident in incidents]
    usual = _usual(vocabulary, incidents, [rows for rows, _ in described])
    plain: list[Floats] = []
    unusual: list[Floats] = []
    wholes: list[Floats] = []
    roots: list[int] = []
    faults: list[int] = []
    for incident, graph, (rows, whole) in zip(incidents, graphs, described, strict=True):
        surprises = frequencies.surprises(incident, counted=True)
        described_twice = _described(rows, graph, usual[vocabulary.numbers(incident)], surprises)
        for columns, kept in zip(described_twice, (plain, unusual), strict=True):
            kept.append(columns)
        its = names.index(incident.fault if incident.fault in names else _OTHER)
        roots += [1 + its if service in incident.root_causes else 0 for service in incident.services]
        if incident.root_causes:
            wholes.append(whole[None])
            faults.append(its)
    # Our settings are valid; checking them for each of 900 trees would take a seventh of the time.
    with config_context(skip_parameter_validation=True):
        return Trees(
            vocabulary,
            np.bincount(faults, minlength=len(names)) / len(faults),
            usual,
            of_service=_forest(plain, roots, 1 + len(names), seed, on_part),
            of_unusual=_forest(unusual, roots, 1 + len(names), seed, on_part),
            of_incident=_forest(wholes, faults, len(names), seed, on_part),
            boosted=_boosted(unusual, incidents, seed, on_part),
        )


def _boosted(
    rows: Sequence[Floats], incidents: Sequence[Incident], seed: int, on_run: Callable[[], None]
) -> Forest:
    """Learnt from the incidents with a root; `rows` of each incident's services (S, ·)."""
    is_root = [np.isin(incident.services, incident.root_causes) for incident in incidents]
    rooted = [number for number, its in enumerate(is_root) if its.any()]
    target = np.concatenate([is_root[number] / is_root[number].sum() for number in rooted])
    incident_of = np.repeat(np.arange(len(rooted)), [len(is_root[number]) for number in rooted])
    return boost(np.vstack([rows[number] for number in rooted]), target, incident_of, seed, on_run)


def _faults(incidents: Sequence[Incident]) -> list[str]:
    """The faults with enough labels to tell them apart, and a name for all others."""
    counts = Counter(incident.fault for incident in incidents if incident.root_causes)
    return [*sorted(name for name, count in counts.items() if count >= _FEW and name != _OTHER), _OTHER]


def _usual(vocabulary: Vocabulary, incidents: Sequence[Incident], rows: Sequence[Floats]) -> Floats:
    """The mean row (services + 1, V + 8) of each service; for unknown services the mean of all."""
    which = np.concatenate([vocabulary.numbers(incident) for incident in incidents])
    stacked = np.vstack(rows)
    total = np.zeros((len(vocabulary.services) + 1, stacked.shape[1]))
    np.add.at(total, which, stacked)
    total[-1] = stacked.sum(axis=0)
    counts = np.bincount(which, minlength=len(total))
    counts[-1] = len(stacked)
    return np.asarray(total / np.maximum(counts, 1)[:, None])


def _described(rows: Floats, graph: Graph, usual: Floats, surprises: Floats) -> tuple[Floats, Floats]:
    """Two tables of columns (S, ·): tokens and the network's features; the same and what stands out."""
    plain = np.hstack([rows, graph.x])
    strange = [surprises, surprises - surprises.mean(axis=0), share_below(surprises)]
    return plain, np.hstack([plain, rows - usual, rows - rows.mean(axis=0), *strange])


def _forest(
    rows: Sequence[Floats], classes: Sequence[int], count: int, seed: int, on_grown: Callable[[], None]
) -> Forest:
    of = np.array(classes, dtype=np.int32)
    forest = grow(np.vstack(rows), of, count, seed, columns=_COLUMNS, trees=_TREES)
    on_grown()
    return forest


def save_trees(trees: Trees, folder: Path) -> None:
    """Writes the forests as tensors and the names as text beside them."""
    from safetensors.numpy import save

    arrays = {"faults": trees.faults, "usual": trees.usual}
    for prefix in _FORESTS:
        arrays |= getattr(trees, prefix).arrays(f"{prefix}.")
    names = {"tokens": trees.vocabulary.tokens, "services": trees.vocabulary.services}
    metadata = {name: json.dumps(value, ensure_ascii=False) for name, value in names.items()}
    metadata["format"] = FORMAT
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_whole(folder / FILE, _in_order(save(contiguous, metadata)))


def _in_order(whole: bytes) -> bytes:
    """The same file with its metadata sorted: safetensors writes it in any order."""
    start = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors stay aligned
    return len(text).to_bytes(8, "little") + text + whole[start:]


def load_trees(folder: Path) -> Trees:
    """Reads what `save_trees` wrote.

    Raises:
        TreesError: no such file, a damaged one, or one made for other features.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format", "1") != FORMAT:
                raise ValueError(f"format {metadata.get('format', '1')}, this code has {FORMAT}")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        names = {name: tuple(map(str, json.loads(metadata[name]))) for name in ("tokens", "services")}
        forests = {prefix: Forest.from_arrays(arrays, f"{prefix}.") for prefix in _FORESTS}
        trees = Trees(Vocabulary(**names), arrays["faults"], arrays["usual"], **forests)
        _check(trees)
    except KeyError as error:
        raise TreesError(f"{path}: {error} is missing – train it again with 'firewatch train'") from None
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TreesError(f"{path}: {reason} – train it again with 'firewatch train'") from None
    return trees


def _check(it: Trees) -> None:
    own = it.vocabulary.width
    plain = own + len(SERVICE_FEATURES)
    unusual = plain + 2 * own + 3 * SURPRISES
    widths = {"of_service": plain, "of_unusual": unusual, "of_incident": 2 * own, "boosted": unusual}
    for name, width in widths.items():
        if getattr(it, name).column.max() >= width:
            raise ValueError("its names and columns do not fit, or are not those of this code")
    classes = [getattr(it, name).value.shape[1] for name in _FORESTS]
    count = it.faults.size
    if classes != [1 + count, 1 + count, count, 1] or it.faults.ndim != 1:
        raise ValueError("its faults do not fit")
    if it.usual.shape != (len(it.vocabulary.services) + 1, own):
        raise ValueError("its services do not fit")
    if not (np.isfinite(it.faults).all() and np.isfinite(it.usual).all()):
        raise ValueError("its numbers are not finite")
