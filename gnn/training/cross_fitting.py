"""Cross-fitting on labels of one system: network, trees and alert frequencies judged on unseen incidents."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from data.incident import Incident
from gnn.network.batch import Example
from gnn.per_system.alert_frequencies import AlertFrequencies
from gnn.per_system.system_ensemble import Floats, Opinions, Pool, SystemEnsemble, pooled
from gnn.per_system.trees import PARTS, grow_trees
from gnn.training.folds import folds_of, splits
from gnn.training.progress import OVER_INCIDENTS, OnStage, Steps, ignore_stage
from gnn.training.train import Rating, TrainConfig, rate_scores, score_examples, train
from gnn.training.workers import ALONE, Workers

Scores = npt.NDArray[np.float32]

MANY = 400  # labelled incidents above which a fixed share is held out: each fold would cost a whole training
_LEAST = 10  # labelled incidents below which there is nothing to choose a pool by
_ROOTS = 3  # different root causes below which labels teach one service's name, not a fault
_MOST = 4.0  # a weight in the pool
# An incident whose fault the trees name with less than this share of the usual chance is of another kind.
_FAMILIAR = 0.6
_PARTS = (1.0, 0.75, 0.5, 0.25)  # of the way from the network alone to the best weights
_USUAL = (0.25, 0.5, 0.25, 0.1)  # weights to start from
_PULL = 10.0  # towards them, in nats; fades as cases are added


def is_one_system(examples: Sequence[Example]) -> bool:
    """Whether the examples are labels of one system, and enough to learn what is particular to it.

    On average half of the services of an incident are in most incidents.
    """
    incidents = [example.incident for example in examples if example.incident is not None]
    rooted = [incident for incident in incidents if incident.root_causes]
    roots = {service for incident in rooted for service in incident.root_causes}
    groups = {example.group for example in examples}
    if len(incidents) < len(examples) or min(len(groups), len(rooted)) < _LEAST or len(roots) < _ROOTS:
        return False
    counts = Counter(service for incident in incidents for service in incident.services)
    common = {service for service, count in counts.items() if count >= len(incidents) / 2}
    shares = [sum(name in common for name in i.services) / len(i.services) for i in incidents]
    return len({incident.system for incident in incidents}) == 1 and sum(shares) >= len(shares) / 2


def unseen_scores(
    config: TrainConfig,
    examples: Sequence[Example],
    workers: Workers = ALONE,
    on_stage: OnStage = ignore_stage,
) -> tuple[list[Example], list[Scores]]:
    """Examples with a root, and the scores (S,) of each by a network that was trained on the other folds.

    Without a root in the other folds there is no such network and no such scores.
    """
    unseen: list[Example] = []
    scores: list[Scores] = []
    parts = list(splits(examples, folds_of(examples)))
    passes = Steps(f"epochs of {OVER_INCIDENTS}", len(parts) * config.epochs, on_stage)
    for held_out, learnt in parts:
        unseen += held_out
        scores += score_examples(train(config, learnt, on_epoch=passes.step, workers=workers), held_out)
    return unseen, scores


class HeldOutScore(NamedTuple):
    """An example that the network had not seen, and its scores for it."""

    example: Example
    logits: npt.NDArray[np.floating]  # (S,) calibrated

    def opinions(self, ensemble: SystemEnsemble, counted: bool = False) -> Opinions:
        """All opinions on it; `counted`: the ensemble's frequencies include this incident."""
        assert self.example.incident is not None
        return ensemble.opinions(self.logits, self.example.incident, self.example.graph, counted=counted)


class Judged(NamedTuple):
    """Held-out examples, and all opinions on each; nobody who gives one had seen it."""

    examples: Sequence[Example] = ()
    opinions: Sequence[Opinions] = ()

    def rate(self, pool: Pool) -> Rating:
        """How well the pooled opinions rank them."""
        return rate_scores(self.scores(pool), self.examples)

    def scores(self, pool: Pool) -> list[Floats]:
        """The pooled opinions on each: (S,)."""
        return [pooled(each, pool) for each in self.opinions]


_NOTHING = Judged()


def judged_by_trees(
    unseen: Sequence[HeldOutScore],
    examples: Sequence[Example],
    folds: Mapping[str, int],
    over: str,
    seed: int,
    history: Sequence[Incident] = (),
    on_stage: OnStage = ignore_stage,
) -> Judged:
    """All opinions on what the network had not seen; trees of each fold are grown on the other folds.

    Args:
        unseen: examples with a root; those that are in no fold are not judged.
        examples: labels of one system.
        folds: of each group.
        over: what a report of progress calls the folds.
        seed: same seed, same trees.
        history: other past incidents of the system, labelled or not.
        on_stage: told how many parts of the trees are grown.
    """
    parts = list(splits(examples, folds))
    growing = Steps(f"trees of {over}, in parts", len(parts) * PARTS, on_stage)
    asked: list[Example] = []
    opinions: list[Opinions] = []
    for aside, learnt in parts:
        trees, groups = grown(learnt, seed, history, growing), {example.group for example in aside}
        for one in unseen:
            if one.example.incident is not None and one.example.group in groups:
                asked.append(one.example)
                opinions.append(one.opinions(trees))
    return Judged(asked, opinions)


class FittedEnsemble(NamedTuple):
    """An ensemble and how well it ranks incidents that it had not seen."""

    ensemble: SystemEnsemble
    unseen: Rating  # of both together on incidents that neither had seen


def fit_frequencies(frequencies: AlertFrequencies, unseen: Sequence[HeldOutScore]) -> FittedEnsemble | None:
    """Alert frequencies alone, where labels chose no pool; None if they rank labelled incidents worse.

    Args:
        frequencies: what is usual in the system.
        unseen: what the network had not seen; of it, incidents with a root that are counted in `frequencies`.
    """
    ensemble = SystemEnsemble(frequencies)
    judged = [one for one in unseen if one.example.incident is not None and one.example.has_root]
    opinions = [one.opinions(ensemble, counted=True) for one in judged]
    examples = [one.example for one in judged]
    # Compared with the same pool without frequencies: a pool that is just less sure of itself proves nothing.
    without = ensemble.pool.model_copy(update={"frequencies": 0.0})
    alone, together = (
        rate_scores([pooled(each, pool) for each in opinions], examples) for pool in (without, ensemble.pool)
    )
    worse = bool(judged) and (together.ac1 < alone.ac1 or together.loss > alone.loss)
    return None if worse else FittedEnsemble(ensemble, together)


def grown(
    examples: Sequence[Example], seed: int, history: Sequence[Incident], growing: Steps
) -> SystemEnsemble:
    """Trees and alert frequencies of one system, before their opinions have weights."""
    incidents = [example.incident for example in examples if example.incident is not None]
    frequencies = AlertFrequencies.of([*history, *incidents])
    graphs = [example.graph for example in examples]
    return SystemEnsemble(frequencies, grow_trees(incidents, graphs, frequencies, seed, growing.step))


def choose_pool(seen: Judged, unknown: Judged = _NOTHING) -> tuple[Pool, Rating]:
    """The weights that make the root causes of unseen incidents likeliest, and how well they do.

    If these rank or predict the incidents worse than the network alone, it is the largest of `_PARTS` of the
    way to them that does neither; the network alone if none does. On `unknown` kinds of faults they may rank
    worse, but not by more than they rank the others better: as if every second fault were of a new kind.

    Args:
        seen: incidents held out, of kinds that are known.
        unknown: held out with all others of their kind.
    """
    alone, usual = seen.rate(Pool()), np.array(_USUAL)
    if len(seen.examples) < _LEAST:
        return Pool(), alone

    known_from = round(_FAMILIAR * float(np.median([each.known for each in seen.opinions])), 4)

    def loss(weights: Floats) -> float:
        pull = _PULL * float(((weights - usual) ** 2).sum()) / len(seen.examples)
        return seen.rate(_pool(weights, known_from)).loss + pull

    found = minimize(loss, usual, method="L-BFGS-B", bounds=[(0.0, _MOST)] * len(usual)).x
    start, before = np.array(Pool().weights), unknown.rate(Pool()).ac1
    for part in _PARTS:
        pool = _pool((start + part * (found - start)).round(4), known_from)
        together = seen.rate(pool)
        better = together.ac1 >= alone.ac1 and together.loss < alone.loss
        lost = before - unknown.rate(pool).ac1  # NaN without unknown kinds
        if pool.uses_others and better and not lost > together.ac1 - alone.ac1:
            return pool, together
    return Pool(), alone


def _pool(weights: Floats, known_from: float) -> Pool:
    network, forest, boosted, frequencies = weights.tolist()
    return Pool(
        network=network, forest=forest, boosted=boosted, frequencies=frequencies, known_from=known_from
    )
