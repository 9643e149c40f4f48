"""Hints that point away from the truth, as confident as true ones: how far a policy can be led astray."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from data.environment import Environment, TellsTruth
from data.errors import SettingsError
from data.incident import Incident
from gnn.ranker import Ranker, Ranking


class WrongRanker:
    """Another ranker's answer with the root causes moved to its end; scores and probabilities stay in place.

    Args:
        ranker: whose answer is turned.
        root_causes: tells those of the running episode.
    """

    name = "wrong"

    def __init__(self, ranker: Ranker, root_causes: Callable[[], Sequence[str]]) -> None:
        self._ranker = ranker
        self._root_causes = root_causes

    def rank(self, incident: Incident) -> Ranking:
        """Ranks as the other ranker does, innocents first; each service keeps its own evidence."""
        ranking, roots = self._ranker.rank(incident), set(self._root_causes())
        turned = sorted(ranking.candidates, key=lambda candidate: candidate.service in roots)
        places = zip(turned, ranking.candidates, strict=True)
        candidates = tuple(replace(c, score=at.score, probability=at.probability) for c, at in places)
        return replace(ranking, candidates=candidates, ranker=self.name, families={})


def astray(ranker: Ranker, environment: Environment) -> WrongRanker:
    """`ranker` made wrong for the episodes of `environment`.

    Raises:
        SettingsError: the environment does not tell its root causes.
    """
    if not isinstance(environment, TellsTruth):
        raise SettingsError(f"ranker 'wrong' needs the truth, which {environment.name} does not tell")
    return WrongRanker(ranker, environment.root_causes)
