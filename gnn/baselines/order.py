"""From scores to a ranking."""

from collections.abc import Mapping

from gnn.ranker import Candidate, Ranking


def ranked(scores: Mapping[str, float], ranker: str) -> Ranking:
    """All of `scores`, highest first, ties in their order."""
    best_first = sorted(scores.items(), key=lambda item: -item[1])
    return Ranking(tuple(Candidate(service, score) for service, score in best_first), ranker)
