"""Scores a ranking as RCAEval does, for comparison with its published figures."""

from collections.abc import Collection

from gnn.evaluation.metrics import DEPTH, UNSCORED, CaseScore, score_ranking
from gnn.ranker import Ranking


def score_as_rcaeval(ranking: Ranking, n_services: int, root_causes: Collection[str]) -> CaseScore:
    """AC@k is 1 if the root cause is among the first k entities, in the order of the ranking.

    An entity is the part of the name before the first "_", without "-db"; its first row counts. Chance, MRR
    and confidence are the usual ones (RCAEval 1.8, `Evaluator.average_service`).
    """
    if not root_causes:
        return UNSCORED
    entities = list(dict.fromkeys(_entity(one.service) for one in ranking.candidates))
    roots = {_entity(root) for root in root_causes}
    ac = tuple(float(bool(roots & set(entities[:k]))) for k in range(1, DEPTH + 1))
    usual = score_ranking(ranking, n_services, root_causes)
    return CaseScore(ac, usual.mrr, usual.chance, usual.confidence)


def _entity(service: str) -> str:
    return service.split("_")[0].replace("-db", "")
