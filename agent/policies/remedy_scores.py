"""How well each remedy fits a service: recent changes, memory, failures and its own log lines."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from agent.situation.service_trends import Trend

# A more recent change may be the cause.
FRESH_CHANGE_S = 900.0
MEMORY_PRESSURE = 0.80
MATCHES_COUNTED = 3

# Lines of a victim that blames another service; below, lines that address the reader.
_SUFFERING = re.compile(
    r"(?:call|request)s? to \S+ (?:failed|timed|came late|still pending)"
    r"|wait(?:s|ing)? for an? (?:answer|reply)|no (?:answer|reply|response) from"
    r"|upstream \S+ (?:did|does|has) not|blocked on \S+:"
    r"|upstream dependenc|investigating upstream"
)
_TROUBLE = re.compile(r"\b(?:warn(?:ing)?|error|fatal|critical|panic)\b")
_NAMES = re.compile(r"[\w./:@-]*\w")
_ADDRESSING = re.compile(
    r"ignore (?:all |any )?(?:previous|prior)|next action|operator override|declare_resolved"
    r"|no further invest|(?:call|run|execute|must be) \w+_\w+|root cause confirmed|\bsystem:|\bassistant\b"
)


class _Known(NamedTuple):
    usually: float  # how often it helps if nothing is known
    signs: re.Pattern[str]  # in a root cause's own log lines


@cache
def _known() -> Mapping[str, _Known]:
    """What is known about each remedy."""
    text = (resources.files("agent.policies") / "remedies.toml").read_text(encoding="utf-8")
    return {
        remedy: _Known(told["usually"], re.compile("|".join(told["signs"]) or "(?!)"))
        for remedy, told in tomllib.loads(text).items()
    }


def remedy_weights(trend: Trend, logs: Sequence[str]) -> dict[str, float]:
    """How well each remedy fits the service; higher is better."""
    weights = {remedy: known.usually for remedy, known in _known().items()}
    weights["rollback_deploy"] += _freshness(trend.age_s("last_deployment_age_seconds"))
    weights["revert_config"] += _freshness(trend.age_s("last_config_age_seconds"))
    weights["scale_replicas"] += _memory_pressure(trend)
    if trend.now.error_rate >= 0.3 and trend.now.latency_p99_s >= 3.0:
        weights["restart_service"] += 0.8
    for remedy, matches in _log_matches(logs).items():
        weights[remedy] += 0.9 * min(matches, MATCHES_COUNTED)
    return weights


def guilt(logs: Sequence[str]) -> float:
    """How far a service's log lines suggest that it is the root cause; negative for a victim."""
    if not logs:
        return 0.0
    lines = _trusted(logs)
    if not lines:
        return -0.3
    suffering = sum(bool(_SUFFERING.search(line)) for line in lines)
    known = max(_log_matches(logs).values(), default=0)
    # Unknown warnings and errors count as its own trouble, except for a single line, which is normal.
    unknown = sum(bool(_TROUBLE.search(line)) for line in lines) - suffering - 1
    own = max(0.4 * min(known, MATCHES_COUNTED), 0.2 * min(unknown, MATCHES_COUNTED))
    return own - 0.5 * suffering


def blamed(logs: Sequence[str], names: Iterable[str]) -> frozenset[str]:
    """The services that a victim's lines name."""
    named = {word for line in _trusted(logs) if _SUFFERING.search(line) for word in _NAMES.findall(line)}
    return frozenset(name for name in names if name.lower() in named)


def _trusted(logs: Sequence[str]) -> list[str]:
    """The lines in lower case; none at all if one of them addresses the reader."""
    lines = [line.lower() for line in logs]
    return [] if any(_ADDRESSING.search(line) for line in lines) else lines


def addresses_the_reader(line: str) -> bool:
    """Whether a line gives instructions to the reader, which no program's log does."""
    return _ADDRESSING.search(line.lower()) is not None


def _log_matches(logs: Sequence[str]) -> dict[str, int]:
    """The number of trusted lines that match each remedy."""
    found: dict[str, int] = {}
    for line in _trusted(logs):
        for remedy in (name for name, known in _known().items() if known.signs.search(line)):
            found[remedy] = found.get(remedy, 0) + 1
    return found


def _freshness(age_s: float) -> float:
    """How suspicious a change of this age is: from 2.5 for a new one to 0 at `FRESH_CHANGE_S`."""
    return max(0.0, 2.5 * (1.0 - age_s / FRESH_CHANGE_S))


def _memory_pressure(trend: Trend) -> float:
    """How far the service seems short of memory."""
    if trend.memory_per_tick >= 0.02:
        return 3.0
    if trend.now.memory_utilization >= MEMORY_PRESSURE:
        return 2.5 if (trend.now.number("restart_count") or 0.0) > 0 else 1.2
    slow_without_errors = trend.now.latency_p99_s >= 0.5 and trend.now.error_rate < 0.10
    return 1.0 if slow_without_errors else 0.0
