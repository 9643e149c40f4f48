"""The sections of a prompt that tell what has been read and done so far."""

from collections.abc import Mapping, Sequence

from agent.llm.sanitize import clean, fenced
from agent.situation.decision import LOG_LINES, PastStep, Situation
from agent.situation.service_trends import Trend, number_text, service_is_measured
from data.actions import is_remedy
from data.observation import Observation

SHOWN_ACTIONS = 5
SHOWN_REMEDIES = 16
LOG_LENGTH = 135
FEEDBACK_LENGTH = 400
# Sections that grow end at so many characters.
LOGS_SPACE, ACTIONS_SPACE = 2500, 1400


def lines_within(lines: Sequence[str], space: int) -> list[str]:
    """The leading lines that fit into `space` characters."""
    kept: list[str] = []
    for line in lines:
        space -= len(line) + 2
        if space < 0:
            break
        kept.append(line)
    return kept


def log_section(situation: Situation, shown: Sequence[Trend], labels: Mapping[str, str]) -> list[str]:
    lines, read = [], situation.logs
    for trend in shown:
        logs = read.get(trend.name, ())
        if logs:
            lines.append(f"{labels[trend.name]}, read at tick {_read_at(trend.name, logs, situation)}:")
        lines += [f"  {clean(line, LOG_LENGTH)}" for line in logs[-LOG_LINES:]]
    return ["Fetched logs, the last lines:", *fenced(lines_within(lines, LOGS_SPACE))] if lines else []


def _read_at(name: str, logs: Sequence[str], situation: Situation) -> int:
    """The tick at which these lines were first shown."""
    seen = ((o.sim_tick, o.services[name]) for o in situation.window if name in o.services)
    return next((tick for tick, service in seen if service.recent_logs == logs), situation.now.sim_tick)


def remedy_section(situation: Situation, labels: Mapping[str, str]) -> list[str]:
    """Every remedy so far with its tick and what became of its target."""
    lines = []
    ticks = len(situation.steps) - len(situation.window) + 1  # steps that showed nothing new
    for number, step in enumerate(situation.steps):
        target = str(step.action.target_service)
        if target in labels and is_remedy(step.action):
            before = situation.window[max(0, number - ticks)]
            lines.append(
                f"tick {before.sim_tick}: {clean(step.action.action_type, 30)} {labels[target]}: "
                f"{_state(target, before)} → {_state(target, situation.now)}"
            )
    left_out = max(0, len(lines) - SHOWN_REMEDIES)
    latest = f", the last {SHOWN_REMEDIES} of {len(lines)}" if left_out else ""
    said = f"Your remedies so far{latest}, with their targets' errors and p99 then and now:"
    return [said, *fenced(lines[left_out:])] if lines else []


def _state(name: str, observation: Observation) -> str:
    service = observation.services.get(name)
    if service is None or not service_is_measured(service):
        return "unknown"
    return f"{number_text(service.error_rate, 2)}, {number_text(service.latency_p99_s, 2)} s"


def action_section(situation: Situation, labels: Mapping[str, str]) -> list[str]:
    lines = [_action(step, labels) for step in reversed(situation.steps[-SHOWN_ACTIONS:])]
    return ["Your last actions, latest first:", *fenced(lines_within(lines, ACTIONS_SPACE))] if lines else []


def _action(step: PastStep, labels: Mapping[str, str]) -> str:
    target = step.action.target_service
    aimed = f" {labels.get(target, '?')}" if target else ""
    feedback = clean(step.feedback, FEEDBACK_LENGTH) or "(no feedback)"
    return f"{clean(step.action.action_type, 30)}{aimed}: {feedback}"
