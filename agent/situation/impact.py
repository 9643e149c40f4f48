"""Whether users are affected, and whether anything still changes."""

from collections.abc import Sequence
from itertools import takewhile

from agent.situation.decision import Situation
from agent.situation.service_trends import (
    NO_HARM,
    RECENT,
    STEADY_ERRORS,
    STEADY_LATENCY_S,
    Trend,
    harm_per_tick,
    trend_of,
    trends,
)
from data.actions import REMEDIES, is_remedy
from data.observation import Observation

USERS_HURT_ERROR_RATE = 0.10
# From this error rate on a user-facing service affects users, even if the environment denies it.
PLAIN_ERROR_RATE = 0.50
LONG_CALM = 9  # observations; longer ones need no counting


def user_facing(observation: Observation) -> frozenset[str]:
    """The services that users call: those without known callers."""
    graph = observation.call_graph
    called = {callee for caller, callees in graph.items() for callee in callees if callee != caller}
    return frozenset(observation.services.keys() - called)


def users_are_hurt(history: Sequence[Observation]) -> bool:
    """Whether anything in the observation says that users are affected; missing data counts as yes."""
    now = history[-1]
    told = now.user_impact_active if "user_impact_active" in now.model_fields_set else None
    if told or any(alert.severity == "page" for alert in now.active_alerts):
        return True
    if not harm_per_tick(history)[-1] <= NO_HARM:  # NaN counts as harm
        return True
    facing = [trend_of(name, history) for name in user_facing(now)]
    if told is None and any(t.now.number("http_server_error_rate") is None for t in facing):
        return True
    return any(
        t.now.error_rate >= USERS_HURT_ERROR_RATE and not _is_usual(t, denied=told is False) for t in facing
    )


def ticks_unaffected(history: Sequence[Observation]) -> int:
    """How many of the latest observations in a row say that no user is affected, up to `LONG_CALM`."""
    latest = range(len(history), max(0, len(history) - LONG_CALM), -1)
    return len(list(takewhile(lambda end: not users_are_hurt(history[:end]), latest)))


def _is_usual(trend: Trend, denied: bool) -> bool:
    """Whether these errors are usual: few and steady, or steady while users are said to be unaffected."""
    if trend.observations < RECENT:
        return False
    held = trend.now.error_rate < PLAIN_ERROR_RATE and trend.recent_error_spread <= USERS_HURT_ERROR_RATE
    return trend.is_background or (denied and held)


def is_exhausted(situation: Situation) -> bool:
    """Whether many different remedies have been sent, and no service changes any more."""
    sent = {str(step.action) for step in situation.steps if is_remedy(step.action)}
    return len(sent) >= len(REMEDIES) and nothing_moves(situation.window)


def nothing_moves(history: Sequence[Observation]) -> bool:
    """Whether no service has changed over the last few observations."""
    return len(history) >= RECENT and all(map(_is_flat, trends(history).values()))


def _is_flat(trend: Trend) -> bool:
    return trend.recent_error_spread <= STEADY_ERRORS and trend.recent_latency_spread_s <= STEADY_LATENCY_S
