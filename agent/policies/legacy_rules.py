"""The rule policy of the original client, reproduced exactly as a baseline."""

from agent.situation.decision import Decision, Situation
from data.actions import RESOLVE
from data.incident import Incident
from data.observation import Action
from gnn.baselines.heuristic import HeuristicRanker

CYCLE = ("restart_service", "rollback_deploy", "revert_config", "circuit_break", "scale_replicas")
INVESTIGATED_STEPS = 3
MAX_IN_A_ROW = 3

# The first entry with a word in the service's logs applies.
_REMEDY_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("oomkilled", "exit code 137", "memory limit"), "restart_service"),
    (("nullpointerexception", "deploy", "version"), "rollback_deploy"),
    (("hikaripool", "connection pool", "timed out after"), "revert_config"),
    (("connection refused", "circuit breaker"), "circuit_break"),
    (("memory leak", "high latency"), "scale_replicas"),
)


class LegacyRulesPolicy:
    """Three investigations, then remedies for the first suspect: by words in its logs, then in a cycle."""

    name = "legacy-rules"

    def __init__(self) -> None:
        self._heuristic = HeuristicRanker()
        self._suspect: str | None = None  # the first suspect at the start; investigations stay with it
        self._target: str | None = None
        self._remedy = ""
        self._in_a_row = 0
        self._next_in_cycle = 0  # not reset when the service changes

    async def decide(self, situation: Situation) -> Decision:
        """The original's action, without a guard, as in the original."""
        return Decision(self._action(situation), source="rules")

    def _action(self, situation: Situation) -> Action:
        ranked = self._ranked(situation)
        if not ranked:
            return RESOLVE
        step = len(situation.steps) + 1
        if step > INVESTIGATED_STEPS:
            return Action(action_type=self._next_remedy(ranked[0], situation), target_service=ranked[0])
        if self._suspect is None:
            self._suspect = ranked[0]
        if step == 1:
            return Action(action_type="fetch_logs", target_service=self._suspect)
        other = _most_erroneous(situation, excluded=self._suspect) if step == 2 else None
        if other is not None:
            return Action(action_type="fetch_logs", target_service=other)
        return Action(action_type="trace_dependencies", target_service=self._suspect)

    def _ranked(self, situation: Situation) -> tuple[str, ...]:
        ranking = situation.ranking or self._heuristic.rank(Incident.from_observations(situation.window))
        return ranking.services

    def _next_remedy(self, service: str, situation: Situation) -> str:
        if service != self._target:
            self._target, self._in_a_row = service, 0
            self._remedy = remedy_by_words(situation.logs.get(service, ()))
        elif self._in_a_row >= MAX_IN_A_ROW:
            self._in_a_row = 0
            self._remedy = CYCLE[self._next_in_cycle]
            self._next_in_cycle = (self._next_in_cycle + 1) % len(CYCLE)
        self._in_a_row += 1
        return self._remedy


def remedy_by_words(logs: tuple[str, ...]) -> str:
    """The remedy for the first known word in `logs`; a restart without any."""
    text = "\n".join(logs).lower()
    for words, remedy in _REMEDY_WORDS:
        if any(word in text for word in words):
            return remedy
    return "restart_service"


def _most_erroneous(situation: Situation, excluded: str) -> str | None:
    services = {
        n: s.error_rate for n, s in situation.now.services.items() if n != excluded and s.error_rate >= 0.10
    }
    return max(services, key=services.__getitem__) if services else None
