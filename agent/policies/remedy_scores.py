"""How well each remedy fits a service: recent changes, memory, failures and its own log lines."""

import re
from collections.abc import Iterable, Mapping, Sequence

from agent.situation.service_trends import Trend

# A more recent change may be the cause.
FRESH_CHANGE_S = 900.0
MEMORY_PRESSURE = 0.80
MATCHES_COUNTED = 3

# How often each remedy helps if nothing is known.
_NOTHING_KNOWN = {
    "restart_service": 1.0, "scale_replicas": 0.8, "revert_config": 0.7, "rollback_deploy": 0.6,
    "traffic_shift": 0.3, "circuit_break": 0.25, "rebalance_load": 0.2, "extend_timeout": 0.1,
}  # fmt: skip

# Patterns in a root cause's own log lines (from kernels, runtimes, databases, proxies and clusters), by the
# remedy that helps.
_SIGNS: Mapping[str, tuple[str, ...]] = {
    "scale_replicas": (
        # too little memory
        r"\boom|out ?of ?memory|memory_?error|bad_alloc|cannot allocate|allocation fail|exit code 137",
        r"\bkilled\b|sigkill|signal 9|heap (?:memory|usage|use|space|is)|\brss\b|resident set",
        r"memory_utilization|gc (?:overhead|freed)|(?:full|major) (?:gc|collection)|stop-the-world",
        r"memory (?:leak|budget|limit|cap\b|cgroup)",
        # too little CPU
        r"throttl|cpu (?:queue|quota|limit)|cgroup|cpu\.max|\bcfs\b|scheduler delay|run ?queue|starv",
        r"event loop",
        # over a quota or rate limit
        r"\b429\b|too many requests|quota|rate.?limit|\blimiter|rate exceeded|resource_exhausted",
        r"token bucket|requests refused|next window|high latency",
    ),
    "rollback_deploy": (
        # a release
        r"rolling out|rollout|roll ?back|canary|since (?:the )?(?:deploy|release|upgrade)|on new pods",
        r"new replicas|\b(?:deployment|version|build|release|image tag)[ =:]+[0-9a-f]{6,}",
        # a bug
        r"null ?(?:pointer|reference)|nonetype|undefined|cannot read|illegalstate|exception (?:at|in)\b",
        r"(?:type|attribute|key|index|runtime|name|import)error|unhandled|uncaught|traceback|panic",
        r"out of (?:range|bounds)|assertion|segfault|segmentation fault|core dumped",
        r"crash ?loop|respawn|(?:code|status)[ =][12]\b",
        # wrong responses
        r"early return|empty result|contract|schema validation|mismatch|required field|malformed",
        r"could not (?:decode|parse)|(?:de|un)(?:serial|marshal)|rejected the answer",
    ),
    "revert_config": (
        # configured limits
        r"hikaripool|pool at capacity|max(?:imum)?_?pool_?size|pool(?:\.max| limit| ?timeout)",
        r"max_?client|max_connections|too many (?:connections|clients|open files)|connection available",
        r"get a connection|descriptors|\bnofile\b|emfile|system limit",
        r"config(?:uration)? re(?:vision|verted|load)|settings? (?:changed|rev)|applied settings",
        # certificates and credentials
        r"certificate|x509|handshake|notafter|\bssl|\btls\b|pkix|cert-manager|\bacme\b",
        r"login failed|access denied|bad credentials|unknown credentials|password|\b401\b|unauthori[sz]ed",
        # slow or blocked database queries
        r"(?:seq|table|full) scan|index \S+ not used|account_id|rows examined|statement timeout",
        r"for a lock|lock wait|blocked by pid|max_execution_time|query cancel",
    ),
    "restart_service": (
        # disconnected from others
        r"connection refused|econnrefused|etimedout|no route to host|unreachable|retries exhausted|isolated",
        r"circuit breaker|breaker (?:open|trip)|(?:all|no|every|any) (?:peers?|neighbours?|members?)\b",
        r"econnreset|connection reset|broken pipe|retrans|\bresent\b|waiting for a segment",
        r"upstream answered at once",
        # stuck
        r"deadlock|blocked for|mutex|monitor|stuck|\bhung\b|asleep|request abandoned",
        r"for a thread|thread pool|pool exhausted|no free worker",
        # a wrong clock
        r"clock|time source|timetooskewed|\bskew|\bntpd?\b|chrony|unsynchroni[sz]ed|future|negative",
        r"\btoken used|tokens rejected|credentials refused|signature",
        # a full disk
        r"no space left|enospc|errno.{0,2}28",
        r"(?:disk|device|volume|filesystem)\b.{0,20} (?:full|exhausted|used)",
        # missing instances
        r"readiness|not ready|no (?:ready|healthy)|back-off|code 143|sigterm|draining|replicas up",
        r"phase pending",
        # another busy process
        r"resident memory|compaction",
    ),
    "traffic_shift": (
        # a bad location: noisy neighbours or network
        r"steal|%st\b|hypervisor|co-?tenant|another (?:pod|tenant)|different tenant|noisy|fsync|io ?wait",
        r"disk await|in the handler|server time|deadline|round ?trip|\brtt\b|on the wire|passed \(slow\)",
        r"callers waiting|served in 4ms",
    ),
    "circuit_break": (
        # two leaders
        r"(?:another|is|as|be|second|to|new) (?:leader|primary|master)\b|\bepoch\b|quorum|split.?brain",
        r"diverg|conflict|disagree|two (?:versions|nodes)|siblings|replication lag|standby|wal sender",
        r"election",
        # overload and retry storms
        r"attempt \d of the same|duplicate|idempotency|retry storm|repeats?\b|abandoned by its caller",
        r"overload|\bshed\b|shedding|back-?pressure|too busy|inbound rate|healthy again",
    ),
    "rebalance_load": (
        # an ineffective cache
        r"hit (?:ratio|rate)|\bmiss(?:es)?\b|same key|\bhot (?:key|entry|shard|partition)|key expired",
        r"eviction|maxmemory|load timed out|\bttl\b|thundering|stampede|rebuil[dt]",
        # calls to instances that no longer exist
        r"registry|registered|no route to instance|instance terminated|unknown endpoints|endpoint list",
        r"discovery|dead (?:address|endpoint|host|peer)|stale|\bgone\b",
    ),
}
_REMEDY_SIGNS = tuple((remedy, re.compile("|".join(signs))) for remedy, signs in _SIGNS.items())
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


def remedy_weights(trend: Trend, logs: Sequence[str]) -> dict[str, float]:
    """How well each remedy fits the service; higher is better."""
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
        for remedy in {remedy for remedy, signs in _REMEDY_SIGNS if signs.search(line)}:
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
