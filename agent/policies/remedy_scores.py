"""How well each remedy fits a service: recent changes, memory, failures and its own log lines."""

import re
from collections.abc import Iterable, Sequence

from agent.situation.service_trends import Trend

# A change this young may have caused what is seen.
FRESH_CHANGE_S = 900.0
MEMORY_PRESSURE = 0.80
MATCHES_COUNTED = 3

# What on-call engineers try when they know nothing, most often right first.
_NOTHING_KNOWN = {
    "restart_service": 1.0,
    "scale_replicas": 0.8,
    "revert_config": 0.7,
    "rollback_deploy": 0.6,
    "traffic_shift": 0.3,
    "circuit_break": 0.25,
    "rebalance_load": 0.2,
    "extend_timeout": 0.1,
}

# Words of a culprit's own log lines, and the remedy that undoes what they speak of.
_WORDS: tuple[tuple[str, str], ...] = (
    (
        "scale_replicas",
        r"oomkilled|out ?of ?memory|exit code 137|heap (?:memory|usage|space)|gc (?:overhead|freed)",
    ),
    (
        "scale_replicas",
        r"memory (?:leak|budget)|memory_utilization|cgroup|throttled|cpu queue|scheduler delay",
    ),
    ("scale_replicas", r"run queue|429|too many requests|quota|requests refused|next window|high latency"),
    ("rollback_deploy", r"nullpointer|rolling out|rollback|since deploy|on new pods|version [0-9a-f]{6,}"),
    ("rollback_deploy", r"deployment [0-9a-f]|panic:|exited with code [12]\b|early return"),
    ("rollback_deploy", r"empty result|contract test|rejected the answer"),
    ("revert_config", r"hikaripool|pool at capacity|maximumpoolsize|config(?:uration)? re(?:vision|verted)"),
    ("revert_config", r"certificate|x509|handshake|notafter|seq scan|statement timeout|for a lock"),
    ("revert_config", r"connection available|account_id|approaching (?:the )?system limit"),
    ("restart_service", r"connection refused by|retries exhausted|unreachable|circuit breaker open|deadlock"),
    ("restart_service", r"blocked for|pool exhausted|for a thread|thread pool|token|signature timestamp"),
    ("restart_service", r"time source|entry age is negative|no space left|enospc|volume \S+ \d+% used"),
    ("restart_service", r"readiness|no ready instance|back-off|code 143|request abandoned"),
    ("restart_service", r"retransmission|waiting for a segment|upstream answered at once"),
    ("traffic_shift", r"steal time|co-tenants|fsync took|in the handler|deadline exceeded|passed \(slow\)"),
    ("traffic_shift", r"callers waiting|request served in 4ms"),
    ("circuit_break", r"another leader|is leader|write conflict|two versions|replication lag"),
    (
        "circuit_break",
        r"attempt \d of the same|abandoned by its caller|overloaded|inbound rate|healthy again",
    ),
    ("rebalance_load", r"hit ratio|same key|eviction|load timed out|key expired|registry snapshot"),
    ("rebalance_load", r"no route to instance|still registered|instance terminated|unknown endpoints"),
)
_REMEDY_WORDS = tuple((remedy, re.compile(words)) for remedy, words in _WORDS)
# Lines of somebody who suffers from another service, and lines that speak to the reader.
_SUFFERING = re.compile(r"call to \S+ failed|wait for an answer of|upstream dependenc|investigating upstream")
_TROUBLE = re.compile(r"\b(?:warn(?:ing)?|error|fatal|critical|panic)\b")
_NAMES = re.compile(r"[\w./:@-]*\w")
_ADDRESSING = re.compile(
    r"ignore (?:all |any )?(?:previous|prior)|next action|operator override|declare_resolved"
    r"|no further invest|(?:call|run|execute|must be) \w+_\w+|root cause confirmed|\bsystem:|\bassistant\b"
)


def remedy_weights(trend: Trend, logs: Sequence[str]) -> dict[str, float]:
    """How well each remedy fits what the service shows; all remedies of the menu, more is better."""
    weights = dict(_NOTHING_KNOWN)
    weights["rollback_deploy"] += _freshness(trend.age_s("last_deployment_age_seconds"))
    weights["revert_config"] += _freshness(trend.age_s("last_config_age_seconds"))
    weights["scale_replicas"] += _memory_pressure(trend)
    if trend.now.error_rate >= 0.3 and trend.now.latency_p99_s >= 3.0:
        weights["restart_service"] += 0.8
    for remedy, matches in _log_matches(logs).items():
        weights[remedy] += 0.9 * min(matches, MATCHES_COUNTED)
    return weights


def guilt(logs: Sequence[str]) -> float:
    """What a service's log lines say about its guilt: positive for its own failure."""
    if not logs:
        return 0.0
    lines = _trusted(logs)
    if not lines:
        return -0.3
    suffering = sum(bool(_SUFFERING.search(line)) for line in lines)
    known = max(_log_matches(logs).values(), default=0)
    # Trouble in words that are not known here still is trouble of its own; one such line is everyday.
    unknown = sum(bool(_TROUBLE.search(line)) for line in lines) - suffering - 1
    own = max(0.4 * min(known, MATCHES_COUNTED), 0.2 * min(unknown, MATCHES_COUNTED))
    return own - 0.5 * suffering


def blamed(logs: Sequence[str], names: Iterable[str]) -> frozenset[str]:
    """Services that suffering lines name."""
    named = {word for line in _trusted(logs) if _SUFFERING.search(line) for word in _NAMES.findall(line)}
    return frozenset(name for name in names if name.lower() in named)


def _trusted(logs: Sequence[str]) -> list[str]:
    """The lines in lower case; none if one of them addresses the reader."""
    lines = [line.lower() for line in logs]
    return [] if any(_ADDRESSING.search(line) for line in lines) else lines


def addresses_the_reader(line: str) -> bool:
    """Whether a line speaks to who reads it, as no program does."""
    return _ADDRESSING.search(line.lower()) is not None


def _log_matches(logs: Sequence[str]) -> dict[str, int]:
    """How many trusted lines speak for each remedy."""
    found: dict[str, int] = {}
    for line in _trusted(logs):
        for remedy in {remedy for remedy, words in _REMEDY_WORDS if words.search(line)}:
            found[remedy] = found.get(remedy, 0) + 1
    return found


def _freshness(age_s: float) -> float:
    """How suspicious a change of this age is: 2.5 at once, 0 from `FRESH_CHANGE_S` on."""
    return max(0.0, 2.5 * (1.0 - age_s / FRESH_CHANGE_S))


def _memory_pressure(trend: Trend) -> float:
    """How much the service looks short of memory."""
    if trend.memory_per_tick >= 0.02:
        return 3.0
    if trend.now.memory_utilization >= MEMORY_PRESSURE:
        return 2.5 if (trend.now.number("restart_count") or 0.0) > 0 else 1.2
    slow_without_errors = trend.now.latency_p99_s >= 0.5 and trend.now.error_rate < 0.10
    return 1.0 if slow_without_errors else 0.0
