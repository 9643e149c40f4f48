"""Contract rules that can be checked on a played or recorded episode."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from data.actions import RESOLVE, is_remedy
from data.contract.rule import Broken, ContractRule, ContractRules, RuleResult, demand
from data.observation import Action, Observation, Service, Step, status_of
from data.wire import one_line

TICK_S = 30
HISTORY_LENGTH = 10
_STATUSES = ("healthy", "degraded", "critical", "down")
_SEVERITIES = ("warning", "critical", "page")


@dataclass(frozen=True)
class Moment:
    """One step of a played episode and the action that led to it (None for the reset)."""

    action: Action | None
    step: Step

    @property
    def observation(self) -> Observation:
        """The observation of the step."""
        return self.step.observation


Trace = Sequence[Moment]
TRACE_RULES = ContractRules[None]()


def check_traces(traces: Sequence[Trace]) -> tuple[RuleResult, ...]:
    """Checks played or recorded episodes."""
    return tuple(rule.verdict(_first_break(rule, traces)) for rule in TRACE_RULES)


def _first_break(rule: ContractRule[None], traces: Sequence[Trace]) -> str | None:
    for trace in traces:
        if trace:
            try:
                rule.holds(trace)
            except Broken as broken:
                return str(broken)
    return None


@TRACE_RULES
def a_reset_starts_at_tick_one(trace: Trace) -> None:
    """A reset shows services at tick 1, with no history and no score."""
    first = trace[0]
    seen = first.observation
    demand(bool(seen.services), "a reset shows no service")
    demand(seen.sim_tick == 1, f"a reset shows tick {seen.sim_tick}")
    demand(not seen.action_history, f"a reset shows {len(seen.action_history)} past actions")
    demand(not seen.incident_declared, "a reset shows a resolved incident")


@TRACE_RULES
def a_step_is_one_tick(trace: Trace) -> None:
    """Every step moves the world by one tick of 30 seconds, whatever the action."""
    for before, after in pairwise(trace):
        ticks = after.observation.sim_tick - before.observation.sim_tick
        demand(ticks == 1, f"{after.action} moved the world by {ticks} ticks")
        seconds = after.observation.sim_time_elapsed_seconds - before.observation.sim_time_elapsed_seconds
        demand(seconds == TICK_S, f"{after.action} moved the clock by {seconds:g} s")


@TRACE_RULES
def the_history_holds_the_last_ten_actions(trace: Trace) -> None:
    """`action_history` holds the last ten actions, oldest first, as they were sent."""
    for index, moment in enumerate(trace):
        acted = [m.action for m in trace[1 : index + 1] if m.action is not None][-HISTORY_LENGTH:]
        past = moment.observation.action_history
        sent = [(a.action_type, a.target_service or "") for a in acted]
        kept = [(p.action_type, p.target_service or "") for p in past]
        demand(kept == sent, f"after {index} steps the history is {kept[-3:]}, sent was {sent[-3:]}")


@TRACE_RULES
def every_action_gets_feedback(trace: Trace) -> None:
    """Every action leaves a line of feedback in the history."""
    for moment in trace[1:]:
        if moment.observation.action_history and moment.action is not None:
            line = moment.observation.action_history[-1].feedback_string
            demand(bool(line) and bool(moment.step.feedback), f"{moment.action} got no feedback")


@TRACE_RULES
def services_stay(trace: Trace) -> None:
    """The set of services is the same in every observation of an episode."""
    for before, after in pairwise(trace):
        changed = before.observation.services.keys() ^ after.observation.services.keys()
        demand(not changed, f"{sorted(changed)} came or went at tick {after.observation.sim_tick}")


@TRACE_RULES
def words_are_those_of_the_protocol(trace: Trace) -> None:
    """Every service has one of the four statuses and every alert one of the three severities."""
    for moment in trace:
        for name, service in moment.observation.services.items():
            demand(service.status in _STATUSES, f"{name} has the status '{one_line(service.status)}'")
        for alert in moment.observation.active_alerts:
            demand(
                alert.severity in _SEVERITIES,
                f"alert {alert.alertname} has the severity '{one_line(alert.severity)}'",
            )


@TRACE_RULES
def statuses_match_the_thresholds(trace: Trace) -> None:
    """Until a remedy interferes, each status is the one that error rate, p99 and memory imply."""
    for moment in trace:
        if moment.action is not None and is_remedy(moment.action):
            return
        for name, service in moment.observation.services.items():
            implied = implied_status(service)
            demand(
                implied is None or service.status == implied,
                f"{name} is {service.status} at error rate {service.error_rate:g}, p99 "
                f"{service.latency_p99_s:g} s, memory {service.memory_utilization:g}: that is {implied}",
            )


def implied_status(service: Service) -> str | None:
    """A service's status by the published thresholds; None if a metric is missing."""
    error_rate = service.number("http_server_error_rate")
    latency_s = service.number("http_server_request_duration_p99")
    memory = service.number("process_memory_utilization")
    if error_rate is None or latency_s is None or memory is None:
        return None
    return status_of(error_rate, latency_s, memory)


@TRACE_RULES
def metrics_stay_in_range(trace: Trace) -> None:
    """Error rates and memory lie between 0 and 1, latencies are not negative."""
    for moment in trace:
        for name, service in moment.observation.services.items():
            rates = (service.error_rate, service.memory_utilization)
            demand(all(0 <= rate <= 1 for rate in rates), f"{name}: a share of {max(rates, key=abs):g}")
            demand(service.latency_p99_s >= 0, f"{name}: a latency of {service.latency_p99_s:g} s")


@TRACE_RULES
def every_service_is_in_the_call_graph(trace: Trace) -> None:
    """The call graph lists every shown service as a caller, and the same calls all episode long."""
    for moment in trace:
        graph = moment.observation.call_graph
        missing = moment.observation.services.keys() - graph.keys()
        demand(not missing, f"the call graph does not know {sorted(missing)}")
        demand(graph == trace[0].observation.call_graph, "the call graph changes during the episode")


@TRACE_RULES
def alerts_name_services(trace: Trace) -> None:
    """Every alert names a service that is shown."""
    for moment in trace:
        for alert in moment.observation.active_alerts:
            demand(
                alert.service_name in moment.observation.services,
                f"alert {alert.alertname} names '{alert.service_name}'",
            )


@TRACE_RULES
def budgets_only_shrink(trace: Trace) -> None:
    """The SLO budget never rises and bad customer minutes never fall."""
    for before, after in pairwise(trace):
        one, other = before.observation, after.observation
        demand(
            other.slo_budget_remaining_pct <= one.slo_budget_remaining_pct,
            f"the SLO budget rose to {other.slo_budget_remaining_pct:g} at tick {other.sim_tick}",
        )
        demand(
            other.bad_customer_minutes >= one.bad_customer_minutes,
            f"bad customer minutes fell to {other.bad_customer_minutes:g} at tick {other.sim_tick}",
        )


@TRACE_RULES
def logs_come_when_fetched(trace: Trace) -> None:
    """A service shows log lines from the moment they are fetched, and none before."""
    fetched: set[str] = set()
    for moment in trace:
        action = moment.action
        if action is not None and action.action_type == "fetch_logs" and moment.step.error is None:
            fetched.add(action.target_service or "")
        for name, service in moment.observation.services.items():
            seen = bool(service.recent_logs)
            demand(seen == (name in fetched), f"{name} shows {'' if seen else 'no '}logs: {action}")


@TRACE_RULES
def only_the_end_is_graded(trace: Trace) -> None:
    """Only the last answer has a score; `declare_resolved` ends the episode with a score in 0..1."""
    for moment in trace[:-1]:
        demand(not moment.step.done, f"{moment.action} ended the episode")
        demand(moment.step.outcome.score is None, f"{moment.action} brought a score before the end")
    last = trace[-1].step
    if trace[-1].action == RESOLVE:
        demand(last.done, "declare_resolved did not end the episode")
    if last.done:
        score = last.outcome.score
        demand(score is not None and 0 <= score <= 1, f"the episode ended with the score {score}")
