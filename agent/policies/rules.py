"""Decides without a model: remedies the suspects by evidence, watches the effect, and resolves in time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.policies.guard import Guard
from agent.policies.remedy_scores import blamed, guilt, remedy_weights
from agent.situation.decision import LOG_LINES, Decision, PastStep, Proposal, Refusal, Situation
from agent.situation.impact import is_exhausted
from agent.situation.service_trends import NO_HARM, Trend, badness, callees_of, harm_per_tick, trends
from data.actions import ESCALATE, REMEDIES, RESOLVE, is_remedy
from data.observation import Action, Observation

NO_EFFECT_WORDS = (
    "no effect", "not significantly degraded", "underlying issue persists", "limited effect",
    "not resolved", "unnecessary", "not needed", "goes on",
)  # fmt: skip
# Weight from which a remedy is sent without reading logs first.
CONVINCED = 1.5
CLEAR_LEAD = 0.5
SUSPECTS = 5  # considered at a time
# A remedy has this many ticks to show that it helps.
WATCHED_TICKS = 2
IMPROVING = -0.005
AFTERMATH = 3  # ticks in which callers may still suffer after a remedy
CALM_OBSERVATIONS = 2  # without trouble, until an incident is over
SHIFT = "traffic_shift"
STILL_FAILING = 0.20  # error rate; services below will recover before the traffic has moved
HELPED = 0.05  # fall of badness from which a remedy has visibly helped
PATIENCE = 8  # observations to wait if no trouble shows at all
GROWING = 0.01  # of memory utilisation per tick
WATCHING = "watching"  # the reason of a look that only lets time pass


@dataclass(frozen=True)
class Trial:
    """A remedy that was sent, and its effect."""

    service: str
    remedy: str
    ticks_ago: int  # 0: the latest step
    failed: bool
    helped: bool = False  # the service got visibly better, but no longer improves


class RulesPolicy:
    """Decides by fixed rules, as a pure function of what a prompt would show."""

    name = "rules"

    def __init__(self, guard: Guard | None = None) -> None:
        self._guard = guard or Guard()

    async def decide(self, situation: Situation) -> Decision:
        """The first proposal that the guard permits."""
        refused: list[Refusal] = []
        for proposal in (*self.proposals(situation), *self.idle_proposals(situation)):
            reason = self._guard.refusal(proposal.action, situation)
            if reason is not None:
                refused.append(Refusal(proposal.action, reason))
                continue
            withheld = await self._guard.withheld(proposal.action, situation)
            if withheld is not None:
                return Decision(
                    self.idle_action(situation),
                    "rules",
                    refusals=tuple(refused),
                    reason=withheld,
                    recommended=proposal.action,
                )
            return Decision(proposal.action, "rules", refusals=tuple(refused), reason=proposal.reason)
        return Decision(ESCALATE, "rules", refusals=tuple(refused), reason="nothing else is permitted")

    def proposals(self, situation: Situation) -> list[Proposal]:
        """See `proposals`."""
        return proposals(situation)

    def idle_proposals(self, situation: Situation) -> list[Proposal]:
        """See `idle_proposals`."""
        return idle_proposals(situation)

    def idle_action(self, situation: Situation) -> Action:
        """A permitted action that changes nothing, to send while a remedy is only recommended."""
        looks = (
            p.action
            for p in self.idle_proposals(situation)
            if self._guard.refusal(p.action, situation) is None
        )
        return next(looks, ESCALATE)


def proposals(situation: Situation) -> list[Proposal]:
    """What to do now, best first; empty if watching is best."""
    assessment = Assessment(situation)
    return assessment.when_calm() or assessment.remedies() or assessment.shifts()


def idle_proposals(situation: Situation) -> list[Proposal]:
    """Harmless actions to send while watching, the most useful first."""
    ranked = situation.ranking.services if situation.ranking is not None else ()
    services = [name for name in ranked if name in situation.now.services] or list(situation.now.services)
    unread = [name for name in services[:2] if name not in situation.logs]
    looks = [Action(action_type="fetch_logs", target_service=name) for name in unread]
    for name in services[:3]:
        looks.append(Action(action_type="get_metrics_detail", target_service=name))
        looks.append(Action(action_type="trace_dependencies", target_service=name))
    return [Proposal(look, WATCHING) for look in looks]


class Assessment:
    """One situation, assessed: what is broken, what has been tried, and what is still unexplained."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.trends = trends(situation.window)
        self.logs = {name: lines[-LOG_LINES:] for name, lines in situation.logs.items()}
        self.harm = harm_per_tick(situation.window)
        self.trials = [
            self._trial(k)
            for k, step in enumerate(situation.steps)
            if is_remedy(step.action) and not _only_shifts(situation.steps, k)
        ]
        steps = situation.steps
        self.shifted = {s.action.target_service for s in steps if s.action.action_type == SHIFT}
        self.written_off = frozenset(
            t.name for t in self.trends.values() if t.is_background or self._is_hopeless(t.name)
        )
        self.broken = [t for t in self.trends.values() if self._hurts(t.name, situation.now)]
        # Services whose remedy is taking effect.
        self.under_way = frozenset(
            t.service for t in self.trials if not (t.failed or t.helped) and t.service in self.trends
        )
        self.open = [t for t in self.broken if not self._is_explained(t)]
        if self.harm[-1] > NO_HARM and not self._harm_falls():
            self.open += [t for t in self.trends.values() if self._may_hide(t)]

    @property
    def tells_harm(self) -> bool:
        """Whether the environment counts bad customer minutes."""
        return self.situation.now.bad_customer_minutes > 0.0

    def _may_hide(self, trend: Trend) -> bool:
        """Whether the service may be broken without showing it, because metrics are missing."""
        if trend.is_measured or not trend.now.is_healthy or self._is_explained(trend):
            return False
        logs = self.logs.get(trend.name, ())
        return not logs or guilt(logs) > 0.0

    def _trial(self, k: int) -> Trial:
        """Judges the remedy at step `k` by its feedback, else by whether its service got better."""
        step = self.situation.steps[k]
        service, ticks_ago = str(step.action.target_service), len(self.situation.steps) - 1 - k
        failed = any(words in step.feedback.lower() for words in NO_EFFECT_WORDS)
        trend = self.trends.get(service)
        if not failed and trend is not None and ticks_ago >= WATCHED_TICKS:
            if not trend.is_measured:
                failed = self.harm[-1] > NO_HARM and not self._harm_falls()
            elif not trend.now.is_healthy:
                failed = trend.change > IMPROVING
        helped = failed and trend is not None and self._has_helped(trend, ticks_ago)
        return Trial(service, step.action.action_type, ticks_ago, failed and not helped, helped)

    def _has_helped(self, trend: Trend, ticks_ago: int) -> bool:
        """Whether the service is visibly better than when the remedy was sent."""
        before = self.situation.window[max(0, len(self.situation.window) - 2 - ticks_ago)]
        earlier = before.services.get(trend.name)
        return earlier is not None and trend.is_measured and trend.badness <= badness(earlier) - HELPED

    def _harm_falls(self) -> bool:
        return len(self.harm) > 1 and self.harm[-1] < 0.95 * self.harm[-2]

    def _is_explained(self, trend: Trend) -> bool:
        """Whether the service is recovering, or a victim of one that is being remedied."""
        if trend.name in self.under_way or (trend.observations > 1 and trend.change <= IMPROVING):
            return True
        # Slight trouble can wait while a remedy elsewhere reduces the harm to users.
        if trend.is_mild and self.under_way and self._harm_falls():
            return True
        # The first observation after a remedy doesn't show its effect yet.
        if any(trial.ticks_ago == 0 and not trial.failed for trial in self.trials):
            return True
        return bool(callees_of(trend.name, self.situation.now.call_graph) & self._recovering())

    def _recovering(self) -> frozenset[str]:
        """Remedied services from which callers may still suffer."""
        lately = {trial.service for trial in self.trials if trial.ticks_ago <= AFTERMATH}
        return frozenset(s for s in self.under_way if s in lately or not self.trends[s].now.is_healthy)

    def _is_hopeless(self, name: str) -> bool:
        """Whether every remedy has failed on the service."""
        return {t.remedy for t in self.trials if t.service == name and t.failed} >= set(REMEDIES)

    def when_calm(self) -> list[Proposal]:
        """Resolves if everything has been healthy for long enough, or if nothing helps any more."""
        window = self.situation.window
        troubled = [self._is_troubled(k) for k in range(len(window))]
        calm = next((k for k, trouble in enumerate(reversed(troubled)) if trouble), len(window))
        if any(troubled):
            over = calm >= CALM_OBSERVATIONS
        else:
            over = calm > PATIENCE and not any(t.memory_per_tick >= GROWING for t in self.trends.values())
        if over:
            return [Proposal(RESOLVE, "everything that could recover has recovered")]
        if is_exhausted(self.situation):
            return [Proposal(RESOLVE, "everything has been tried, and nothing moves")]
        return []

    def _is_troubled(self, k: int) -> bool:
        """Whether users were affected at observation `k` or, if that isn't counted, services unhealthy."""
        if self.tells_harm:
            return self.harm[k] > NO_HARM
        observation = self.situation.window[k]
        return any(self._hurts(name, observation) for name in observation.services)

    def _hurts(self, name: str, observation: Observation) -> bool:
        return name not in self.written_off and not observation.services[name].is_healthy

    def _by_suspicion(self) -> list[Trend]:
        """The open services by ranking and own evidence, the likeliest root cause first."""
        broken = frozenset(t.name for t in self.broken)
        names = frozenset(t.name for t in self.open) & broken
        call_graph = self.situation.now.call_graph
        reached = {t.name: callees_of(t.name, call_graph) for t in (*self.broken, *self.open)}
        covering = Counter(name for t in self.broken for name in {t.name, *reached[t.name]})
        ranking = self.situation.ranking
        ranked_share: dict[str, float] = {}
        for position, candidate in enumerate(ranking.candidates if ranking is not None else ()):
            probability = candidate.probability
            share = probability if probability is not None else 0.6 / (position + 1)
            ranked_share[candidate.service] = share
        accused = frozenset().union(*(blamed(lines, self.trends) for lines in self.logs.values()))

        def suspicion(trend: Trend) -> float:
            victim = bool(reached[trend.name] & names)
            lines = self.logs.get(trend.name, ())
            best_fit = max(remedy_weights(trend, lines).values())
            failures = sum(trial.failed for trial in self.trials if trial.service == trend.name)
            own = 0.2 * best_fit + 0.3 * trend.badness + guilt(lines) + 0.8 * (trend.name in accused)
            own += 0.5 * covering[trend.name] / max(1, len(broken)) - 0.3 * (trend.name not in broken)
            return 2.0 * ranked_share.get(trend.name, 0.0) + own - 0.4 * victim - 0.5 * failures

        return sorted(self.open, key=suspicion, reverse=True)

    def remedies(self) -> list[Proposal]:
        """Each suspect's untried remedies, best fit first; fetches logs first if none clearly fits."""
        wanted: list[Proposal] = []
        for trend in self._by_suspicion()[:SUSPECTS]:
            logs = self.logs.get(trend.name, ())
            weights = remedy_weights(trend, logs)
            sent = {trial.remedy: trial for trial in self.trials if trial.service == trend.name}
            tried = {remedy for remedy, latest in sent.items() if not latest.helped}
            tried |= {SHIFT} if trend.name in self.shifted else set()
            weights |= {remedy: weights[remedy] + CONVINCED for remedy in sent.keys() - tried}
            untried = sorted((r for r in weights if r not in tried), key=weights.__getitem__, reverse=True)
            clear = trend.is_measured and _is_clear([weights[r] for r in untried])
            if not wanted and not logs and not clear:
                look = Action(action_type="fetch_logs", target_service=trend.name)
                wanted.append(Proposal(look, f"{trend.name} is suspected, its telemetry does not say why"))
            for remedy in untried:
                action = Action(action_type=remedy, target_service=trend.name)
                wanted.append(Proposal(action, f"fits what {trend.name} shows", weights[remedy]))
        return wanted

    def shifts(self) -> list[Proposal]:
        """Moves traffic away from clearly failing services, the worst first, while a remedy takes effect."""
        if not self.under_way:
            return []
        plain = [t for t in self.broken if t.now.error_rate >= STILL_FAILING]
        failing = [t for t in plain if t.name not in self.shifted]
        worst_first = sorted(failing, key=lambda t: t.badness, reverse=True)
        shifts = (Action(action_type=SHIFT, target_service=t.name) for t in worst_first)
        return [Proposal(shift, f"{shift.target_service} still fails meanwhile") for shift in shifts]


def _only_shifts(steps: Sequence[PastStep], k: int) -> bool:
    """Whether step `k` only moves traffic away while an earlier remedy takes effect."""
    if steps[k].action.action_type != SHIFT:
        return False
    return any(is_remedy(step.action) for step in steps[max(0, k - AFTERMATH) : k])


def _is_clear(weights: list[float]) -> bool:
    """Whether the best of `weights`, best first, is good enough and stands out."""
    best, runner_up = (*weights, 0.0, 0.0)[:2]
    return best >= CONVINCED and best - runner_up >= CLEAR_LEAD
