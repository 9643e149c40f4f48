"""Training on the labels of one system: what network, trees and habits say of incidents none has seen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from data.incident import Incident
from gnn.network.batch import Example, has_example
from gnn.per_system.alert_frequencies import Habits
from gnn.per_system.system_ensemble import Floats, Opinions, Pool, Specialist, pooled
from gnn.per_system.trees import PARTS, grow_trees
from gnn.training.folds import folds_of, splits
from gnn.training.progress import CROSS_VALIDATED, OnStage, Steps, unheard
from gnn.training.train import Rating, TrainConfig, rate_scores, score_examples, train
from gnn.training.workers import ALONE, Workers

Scores = npt.NDArray[np.float32]

MANY = 400  # labelled incidents above which a fixed share is held out: each fold would cost a whole training
_LEAST = 10  # labelled incidents below which there is nothing to choose a pool by
_ROOTS = 3  # different root causes below which the labels tell one service by heart, not a fault
_MOST = 4.0  # a weight in the pool
_PARTS = (1.0, 0.75, 0.5, 0.25)  # of the way from the network alone to the best weights
_USUAL = (0.25, 0.5, 0.25, 0.1)  # weights where nothing speaks for others
_PULL = 10.0  # towards them, in nats; fades as cases are added


@dataclass(frozen=True)
class Labels:
    """Labelled incidents of one system and their examples, side by side."""

    incidents: tuple[Incident, ...]
    examples: tuple[Example, ...]
    folds: tuple[int, ...]  # of the same number: learnt from, or held aside, together

    @staticmethod
    def of(
        incidents: Sequence[Incident], examples: Sequence[Example], groups: Sequence[str]
    ) -> "Labels | None":
        """The labels in folds that keep groups whole; None if they are too few or not of one system.

        Args:
            incidents: all that was learnt from; None, too, if anything else was.
            examples: of them; an incident without an example is passed over.
            groups: of each example.
        """
        usable = [incident for incident in incidents if has_example(incident)]
        rooted = [incident for incident in usable if incident.root_causes]
        roots = {service for incident in rooted for service in incident.root_causes}
        enough = len(set(groups)) >= _LEAST and len(rooted) >= _LEAST and len(roots) >= _ROOTS
        if len(usable) != len(examples) or not enough or not _one_system(usable):
            return None
        return Labels(tuple(usable), tuple(examples), folds_of(groups))

    def apart(self, held_out: Sequence[Example]) -> "Labels":
        """The same labels, those that were held out as the one fold held aside; without any as they are."""
        aside = {id(example) for example in held_out}
        if not aside:
            return self
        return replace(self, folds=tuple(int(id(example) in aside) for example in self.examples))


def _one_system(incidents: Sequence[Incident]) -> bool:
    """Whether the incidents share their services: on average half of each are in most incidents."""
    counts = Counter(service for incident in incidents for service in incident.services)
    common = {service for service, count in counts.items() if count >= len(incidents) / 2}
    shares = [sum(name in common for name in i.services) / len(i.services) for i in incidents if i.services]
    return len({incident.system for incident in incidents}) == 1 and sum(shares) >= len(shares) / 2


def unseen_scores(
    config: TrainConfig, labels: Labels, workers: Workers = ALONE, on_stage: OnStage = unheard
) -> tuple[list[Example], list[Scores]]:
    """Examples with a root, and the scores (S,) of each by a network that was trained on the other folds.

    Without a root in the other folds there is no such network and no such scores.
    """
    unseen: list[Example] = []
    scores: list[Scores] = []
    parts = _parts(labels, labels.examples)
    passes = Steps(CROSS_VALIDATED, len(parts) * config.epochs, on_stage)
    for aside, seen in parts:
        learnt = [labels.examples[number] for number in seen]
        its = [labels.examples[number] for number in aside]
        unseen += its
        scores += score_examples(train(config, learnt, on_epoch=passes.step, workers=workers), its)
    return unseen, scores


def _parts(labels: Labels, judged: Sequence[Example]) -> list[tuple[list[int], list[int]]]:
    """The numbers of what to judge, with a root and of `judged`, and of what to learn from for that."""
    rooted = [bool(example.is_root.any()) for example in labels.examples]
    asked = {id(example) for example in judged}
    found = []
    for aside, seen in splits(labels.folds):
        its = [number for number in aside if rooted[number] and id(labels.examples[number]) in asked]
        if its and any(rooted[number] for number in seen):
            found.append((its, seen))
    return found


class Specialised(NamedTuple):
    """A specialist and what spoke for it."""

    specialist: Specialist
    unseen: Rating  # of what it and the network say together of incidents that none had seen


def specialise(
    labels: Labels,
    unseen: Sequence[Example],
    logits: Sequence[npt.NDArray[np.floating]],
    seed: int,
    history: Sequence[Incident] = (),
    on_stage: OnStage = unheard,
) -> Specialised | None:
    """A specialist that is heard as far as it helps on incidents that it had not seen; None if it does not.

    Args:
        labels: of one system.
        unseen: examples that the network had not seen; those that are not of `labels` are passed over.
        logits: the network's, calibrated, an (S,) array an example.
        seed: same seed, same trees.
        history: other past incidents of the system, labelled or not.
        on_stage: told how many parts of the trees are grown.
    """
    its_logits = {id(example): own for example, own in zip(unseen, logits, strict=True)}
    opinions: list[Opinions] = []
    judged: list[Example] = []
    parts = _parts(labels, unseen)
    growing = Steps("trees of cross-validation, in parts", len(parts) * PARTS, on_stage)
    for numbers, seen in parts:
        grown = _grown(labels, seen, seed, history, growing)
        for number in numbers:
            example = labels.examples[number]
            judged.append(example)
            opinions.append(grown.opinions(its_logits[id(example)], labels.incidents[number], example.graph))
    if len(judged) < _LEAST:
        return None
    pool, rating = choose_pool(opinions, judged)
    if not pool.hears_others:
        return None
    growing = Steps("trees, in parts", PARTS, on_stage)
    whole = _grown(labels, range(len(labels.examples)), seed, history, growing)
    return Specialised(whole.heard(pool), rating)


def accustomed(
    habits: Habits, judged: Sequence[tuple[Incident, Example, npt.NDArray[np.floating]]]
) -> Specialised | None:
    """Habits alone, where labels chose no pool; None if they rank or foretell what is labelled worse.

    Args:
        habits: what is usual in the system.
        judged: incidents with a root that are counted in `habits`, and that the network had not seen; their
            examples; and what it says of them, calibrated logits (S,).
    """
    specialist = Specialist(habits)
    opinions = [specialist.opinions(logits, one, e.graph, counted=True) for one, e, logits in judged]
    examples = [example for _, example, _ in judged]
    # Else alike: being less sure is no merit of theirs.
    deaf = specialist.pool.model_copy(update={"habits": 0.0})
    alone, together = (
        rate_scores([pooled(each, pool) for each in opinions], examples) for pool in (deaf, specialist.pool)
    )
    worse = bool(judged) and (together.ac1 < alone.ac1 or together.loss > alone.loss)
    return None if worse else Specialised(specialist, together)


def _grown(
    labels: Labels, numbers: Sequence[int], seed: int, history: Sequence[Incident], growing: Steps
) -> Specialist:
    incidents = [labels.incidents[number] for number in numbers]
    habits = Habits.of([*history, *incidents])
    graphs = [labels.examples[number].graph for number in numbers]
    return Specialist(habits, grow_trees(incidents, graphs, habits, seed, growing.step))


def choose_pool(opinions: Sequence[Opinions], examples: Sequence[Example]) -> tuple[Pool, Rating]:
    """The weights that make the root causes of unseen examples likeliest, and how well they do.

    If these rank or foretell the examples worse than the network alone, it is the largest of `_PARTS` of the
    way to them that does neither; the network alone if none does.

    Args:
        opinions: on each example.
        examples: each with a root.
    """

    def rated(weights: Floats) -> Rating:
        pool = _pool(weights)
        return rate_scores([pooled(each, pool) for each in opinions], examples)

    def loss(weights: Floats) -> float:
        return rated(weights).loss + _PULL * float(((weights - usual) ** 2).sum()) / len(examples)

    usual = np.array(_USUAL)
    found = minimize(loss, usual, method="L-BFGS-B", bounds=[(0.0, _MOST)] * len(usual)).x
    start = np.array(Pool().weights)
    alone = rated(start)
    for part in _PARTS:
        pool = _pool((start + part * (found - start)).round(4))
        together = rated(np.array(pool.weights))
        if pool.hears_others and together.ac1 >= alone.ac1 and together.loss < alone.loss:
            return pool, together
    return Pool(), alone


def _pool(weights: Floats) -> Pool:
    network, forest, boosted, habits = weights.tolist()
    return Pool(network=network, forest=forest, boosted=boosted, habits=habits)
