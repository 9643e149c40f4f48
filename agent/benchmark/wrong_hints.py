"""Wrong hints with normal confidence, to see how far they mislead a policy."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from data.environment import Environment, TellsTruth
from data.errors import SettingsError
from data.incident import Incident
from gnn.ranker import Ranker, Ranking


class WrongRanker:
    """Another ranker, with root causes moved to the end; scores and probabilities stay in place.

    Args:
        ranker: the other one.
        root_causes: returns those of the running episode.
    """

    name = "wrong"

    def __init__(self, ranker: Ranker, root_causes: Callable[[], Sequence[str]]) -> None:
        self._ranker = ranker
        self._root_causes = root_causes

    def rank(self, incident: Incident) -> Ranking:
        """Ranks like the other ranker, but innocents first; each service keeps its evidence."""
        ranking, roots = self._ranker.rank(incident), set(self._root_causes())
        turned = sorted(ranking.candidates, key=lambda candidate: candidate.service in roots)
        places = zip(turned, ranking.candidates, strict=True)
        candidates = tuple(c._replace(score=at.score, probability=at.probability) for c, at in places)
        return replace(ranking, candidates=candidates, ranker=self.name, families={})


def astray(ranker: Ranker, environment: Environment) -> WrongRanker:
    """Makes `ranker` wrong for the episodes of `environment`.

    Raises:
        SettingsError: the environment doesn't tell its root causes.
    """
    if not isinstance(environment, TellsTruth):
        raise SettingsError(f"ranker 'wrong' needs the root causes, which {environment.name} does not tell")
    return WrongRanker(ranker, environment.root_causes)
