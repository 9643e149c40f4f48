"""Scores a ranking as RCAEval does, so that its published figures and ours can stand in one table."""

from collections.abc import Collection

from gnn.evaluation.metrics import DEPTH, UNSCORED, CaseScore, score_ranking
from gnn.ranker import Ranking


def score_as_rcaeval(ranking: Ranking, n_services: int, root_causes: Collection[str]) -> CaseScore:
    """AC@k is 1 where the root cause is among the first k entities, in the order as ranked.

    An entity is what stands before the first "_", without "-db"; of several rows of one entity the first
    counts. Chance, MRR and confidence are as everywhere (RCAEval 1.8, `Evaluator.average_service`).
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
