"""Investigates by rules: looks at each suspect in turn, then recommends a remedy, or says that it cannot."""

from collections.abc import Sequence

from agent.policies.remedy_scores import remedy_weights
from agent.policies.rules import RulesPolicy
from agent.situation.decision import LOG_LINES, Proposal, Situation
from agent.situation.service_trends import trend_of
from data.actions import ESCALATE, LIVE_REMEDIES, RESOLVE
from data.observation import Action, Observation
from gnn.ranker import Candidate, Ranking

_MOST = 3  # suspects to look at
_RIVAL = 0.1  # share of the first suspect's probability from which another is looked at, too
# The looks, the most informative first; rivals get the first two.
_LOOKS = ("get_metrics_detail", "fetch_logs", "inspect_commit_diff", "trace_dependencies")
_OF_RIVALS = 2


class InvestigationRules(RulesPolicy):
    """First all looks, then a conclusion; a pure function of the situation."""

    def proposals(self, situation: Situation) -> list[Proposal]:
        """The remaining looks, then the conclusion."""
        ranking = situation.ranking
        if ranking is None or not ranking.candidates:
            return [Proposal(ESCALATE, "nothing is known about any service")]
        suspects = _suspects(ranking)
        made = [step.action for step in situation.steps]
        looks = [
            Proposal(look, _why(look, place, ranking))
            for place, suspect in enumerate(suspects)
            for kind in (_LOOKS if place == 0 else _LOOKS[:_OF_RIVALS])
            if kind in situation.menu
            and (look := Action(action_type=kind, target_service=suspect.service)) not in made
        ]
        return [*looks, *_ends(situation, ranking)]

    def idle_proposals(self, situation: Situation) -> list[Proposal]:
        """None, because there is nothing to wait for."""
        return []


def _suspects(ranking: Ranking) -> Sequence[Candidate]:
    if ranking.verdict == "nobody" or not ranking.candidates:
        return ranking.candidates[:1]
    least = _RIVAL * (ranking.candidates[0].probability or 0.0)
    return [one for one in ranking.top(_MOST) if (one.probability or 0.0) >= least]


def _why(look: Action, place: int, ranking: Ranking) -> str:
    if ranking.verdict == "nobody":
        return "to make sure that nothing is wrong"
    return "suspected first" if place == 0 else f"suspect number {place + 1}, to be ruled out"


def _ends(situation: Situation, ranking: Ranking) -> list[Proposal]:
    """A remedy for the named culprit; otherwise the reason why none is named."""
    if ranking.verdict == "nobody":
        return [Proposal(RESOLVE, ranking.reason), Proposal(ESCALATE, ranking.reason)]
    if not ranking.candidates:
        return [Proposal(ESCALATE, ranking.reason)]
    first = ranking.candidates[0].service
    if ranking.verdict == "unsure" or first not in situation.now.services:
        return [Proposal(ESCALATE, "the suspects cannot be told apart")]
    if not situation.now.services[first].numbers:
        return [Proposal(ESCALATE, f"{first} reports no data of its own")]
    logs = situation.logs.get(first, ())
    remedies = [
        Proposal(Action(action_type=kind, target_service=first), f"fits what {first} shows", weight)
        for kind, weight in fitting_remedies(first, situation.window, logs)
    ]
    return [*remedies, Proposal(ESCALATE, "no remedy is permitted")]


def fitting_remedies(
    service: str, window: Sequence[Observation], logs: Sequence[str]
) -> list[tuple[str, float]]:
    """The remedies that can be recommended, best fit first, with their weights."""
    weights = remedy_weights(trend_of(service, window), logs[-LOG_LINES:])
    return sorted(((kind, weights[kind]) for kind in LIVE_REMEDIES), key=lambda pair: -pair[1])
