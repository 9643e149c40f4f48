"""Decides without a model: remedies the suspect by evidence, watches, moves on, and resolves in time."""

from dataclasses import dataclass

from agent.belief import Trend, badness, callees_of, remedy_weights, trends
from agent.decision import Decision, Refusal, Situation
from agent.guard import Guard
from agent.menu import is_remedy
from data.observation import Action, Observation

NO_EFFECT_WORDS = (
    "no effect",
    "not significantly degraded",
    "underlying issue persists",
    "limited effect",
    "not resolved",
    "unnecessary",
)
# Weight from which a remedy is taken without reading anything first.
CONVINCED = 1.5
WATCHED_TICKS = 2
CALM_OBSERVATIONS = 2


@dataclass
class Trial:
    """A remedy that was sent and what became of it."""

    service: str
    remedy: str
    sent_at: int  # number of own steps before it
    badness: float
    failed: bool = False


@dataclass(frozen=True)
class Proposal:
    """An action that the rules want, and why."""

    action: Action
    reason: str


class RulesPolicy:
    """The star without a model; it reads nothing that the prompt does not show."""

    name = "rules"

    def __init__(self, guard: Guard | None = None) -> None:
        self._guard = guard or Guard()
        self._history: list[Observation] = []
        self._trials: list[Trial] = []
        self._calm = 0
        self._ever_broken = False

    async def decide(self, situation: Situation) -> Decision:
        """The first proposal that the guard lets through."""
        return await self.answer(situation)

    async def answer(self, situation: Situation, refusals: tuple[Refusal, ...] = ()) -> Decision:
        """Like `decide`, keeping `refusals` that were handed out before."""
        self._remember(situation)
        refused = list(refusals)
        for proposal in (*self._proposals(situation), *self._pastimes(situation)):
            reason = self._guard.refusal(proposal.action, situation)
            if reason is not None:
                refused.append(Refusal(proposal.action, reason))
                continue
            withheld = await self._guard.withheld(proposal.action, situation)
            if withheld is not None:
                return self._withheld(proposal, withheld, situation, tuple(refused))
            return Decision(proposal.action, "rules", refusals=tuple(refused), reason=proposal.reason)
        end = Action(action_type="escalate")
        return Decision(end, "rules", refusals=tuple(refused), reason="nothing else is permitted")

    def _remember(self, situation: Situation) -> None:
        """Takes in the latest observation and the trial that it judges, and counts calm ticks."""
        known = len(self._history)
        if known == 0:
            self._history.extend(situation.window)
        elif situation.now != self._history[-1] or len(situation.steps) > self._steps_seen:
            self._history.append(situation.now)
        self._steps_seen = len(situation.steps)
        self._note_trial(situation)
        self._trends = trends(self._history)
        broken = self._broken()
        self._ever_broken = self._ever_broken or bool(broken)
        self._calm = 0 if broken else self._calm + 1

    def _note_trial(self, situation: Situation) -> None:
        """Adds the latest step to the trials if it was a remedy; feedback may say that it failed."""
        if not situation.steps or not is_remedy(situation.steps[-1].action):
            return
        last, position = situation.steps[-1], len(situation.steps) - 1
        if any(trial.sent_at == position for trial in self._trials):
            return
        target = str(last.action.target_service)
        then = situation.now.services.get(target)
        trial = Trial(target, last.action.action_type, position, badness(then) if then else 0.0)
        trial.failed = any(words in last.feedback.lower() for words in NO_EFFECT_WORDS)
        self._trials.append(trial)

    def _broken(self) -> list[Trend]:
        """Services that are not well and not just a little off since ever, worst first."""
        found = [t for t in self._trends.values() if not t.now.is_healthy and not self._is_innocent(t)]
        return sorted(found, key=lambda t: -t.badness)

    def _is_innocent(self, trend: Trend) -> bool:
        return trend.observations >= 3 and trend.is_background

    def _proposals(self, situation: Situation) -> list[Proposal]:
        broken = self._broken()
        if not broken:
            return self._when_calm(situation)
        self._judge_trials(situation)
        helping = self._services_under_way(situation)
        open_cases = [t for t in broken if not self._explained(t, helping, broken, situation)]
        if not open_cases:
            return []
        return self._remedies(self._by_suspicion(open_cases, situation), situation)

    def _when_calm(self, situation: Situation) -> list[Proposal]:
        resolve = Proposal(
            Action(action_type="declare_resolved"), "every service that could recover has recovered"
        )
        if self._ever_broken and self._calm >= CALM_OBSERVATIONS:
            return [resolve]
        if not self._ever_broken and not self._something_grows() and len(situation.steps) >= 6:
            return [resolve]
        return []

    def _something_grows(self) -> bool:
        return any(
            t.memory_per_tick >= 0.01 and t.now.memory_utilization < 0.98 for t in self._trends.values()
        )

    def _judge_trials(self, situation: Situation) -> None:
        """A remedy has failed when its service is no better two ticks later."""
        for trial in self._trials:
            waited = len(situation.steps) - trial.sent_at
            trend = self._trends.get(trial.service)
            if (
                trend is not None
                and waited > WATCHED_TICKS
                and trend.change >= -0.005
                and not trend.now.is_healthy
            ):
                trial.failed = True

    def _services_under_way(self, situation: Situation) -> frozenset[str]:
        """Services whose remedy is still taking hold or is visibly helping."""
        return frozenset(trial.service for trial in self._trials if not trial.failed)

    def _explained(
        self, trend: Trend, helping: frozenset[str], broken: list[Trend], situation: Situation
    ) -> bool:
        """Whether the service is getting better, or suffers from another that is being dealt with."""
        if trend.name in helping or (trend.observations > 1 and trend.change < -0.005):
            return True
        reached = callees_of(trend.name, situation.now.call_graph)
        return bool(reached & helping)

    def _by_suspicion(self, open_cases: list[Trend], situation: Situation) -> list[Trend]:
        """The likeliest root first: the ranking's order, then own evidence."""
        names = {t.name for t in open_cases}
        ranking = situation.ranking
        candidates = ranking.candidates if ranking is not None else ()
        belief: dict[str, float] = {}
        for position, candidate in enumerate(candidates):
            given = candidate.probability
            belief[candidate.service] = given if given is not None else 0.6 / (position + 1)

        def suspicion(trend: Trend) -> float:
            victim = bool(callees_of(trend.name, situation.now.call_graph) & (names - {trend.name}))
            weights = remedy_weights(trend, situation.logs.get(trend.name, ()))
            own = 0.25 * max(weights.values()) + 0.3 * trend.badness - (0.4 if victim else 0.0)
            own -= 0.5 * sum(trial.failed for trial in self._trials if trial.service == trend.name)
            return 2.0 * belief.get(trend.name, 0.0) + own

        return sorted(open_cases, key=lambda t: -suspicion(t))

    def _remedies(self, suspects: list[Trend], situation: Situation) -> list[Proposal]:
        proposals: list[Proposal] = []
        for trend in suspects:
            logs = situation.logs.get(trend.name, ())
            weights = remedy_weights(trend, logs)
            tried = {trial.remedy for trial in self._trials if trial.service == trend.name}
            fresh = sorted((r for r in weights if r not in tried), key=lambda r: -weights[r])
            if trend is suspects[0] and not logs and fresh and weights[fresh[0]] < CONVINCED:
                look = Action(action_type="fetch_logs", target_service=trend.name)
                proposals.append(
                    Proposal(look, f"{trend.name} is the suspect, its telemetry does not say why")
                )
            proposals.extend(
                Proposal(Action(action_type=remedy, target_service=trend.name), f"fits {trend.name} best")
                for remedy in fresh
            )
        return proposals

    def _pastimes(self, situation: Situation) -> list[Proposal]:
        """Harmless ways to spend a tick while watching, the most telling first."""
        ranked = situation.ranking.services if situation.ranking is not None else ()
        services = [name for name in ranked if name in situation.now.services] or list(situation.now.services)
        looks = [
            Action(action_type="fetch_logs", target_service=s)
            for s in services[:2]
            if s not in situation.logs
        ]
        for service in services[:3]:
            looks.append(Action(action_type="get_metrics_detail", target_service=service))
            looks.append(Action(action_type="trace_dependencies", target_service=service))
        return [Proposal(look, "watching") for look in looks]

    def _withheld(
        self, proposal: Proposal, why: str, situation: Situation, refusals: tuple[Refusal, ...]
    ) -> Decision:
        """Watches instead of acting; the wanted remedy is only named."""
        for pastime in self._pastimes(situation):
            if self._guard.refusal(pastime.action, situation) is None:
                return Decision(
                    pastime.action, "rules", refusals=refusals, reason=why, recommended=proposal.action
                )
        end = Action(action_type="escalate")
        return Decision(end, "rules", refusals=refusals, reason=why, recommended=proposal.action)
