"""Metric names of any system → semantic channels, by readable rules that users can extend from a file."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from data.errors import SchemaError


class Channel(StrEnum):
    """What a metric means, whatever it is called. Higher is worse unless its rule says `inverted`."""

    ERROR = "error"  # failed share or count, as the service's callers see it
    LATENCY_MID = "latency_mid"  # typical duration: mean, median
    LATENCY_TAIL = "latency_tail"  # p90 and above
    OWN_LATENCY = "own_latency"  # duration without the time spent waiting for callees
    CLIENT_ERROR = "client_error"  # failures of the calls that the service makes
    CLIENT_LATENCY = "client_latency"  # duration of the calls that the service makes
    TRAFFIC = "traffic"  # requests served
    CPU = "cpu"
    MEMORY = "memory"
    SATURATION = "saturation"  # pools, queues, threads, descriptors, throttling, disk space
    NETWORK_IN = "network_in"
    NETWORK_OUT = "network_out"
    NETWORK_FAULT = "network_fault"  # loss, retransmits, network delay
    DISK_IO = "disk_io"  # reads, writes, system calls
    RESTARTS = "restarts"
    LOGS = "logs"  # unusual or error lines
    DEPLOY_AGE = "deploy_age"  # seconds since the last deployment
    CONFIG_AGE = "config_age"  # seconds since the last configuration change
    UPTIME = "uptime"  # seconds since the process started


CHANNELS: tuple[Channel, ...] = tuple(Channel)


class Rule(BaseModel):
    """One line of a rule file: names that match `pattern` (case-insensitive, anywhere) feed `channel`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: str
    channel: Channel | None  # None: known, and deliberately not used
    inverted: bool = False  # lower is worse (availability, free memory)
    scale: float = 1.0  # the metric's unit in ours: 0..1 for shares, seconds for durations


@dataclass(frozen=True)
class Mapping:
    """What a metric name means: its channel and how to bring it to our unit and direction."""

    channel: Channel
    inverted: bool
    scale: float


def _rules(channel: Channel | None, *patterns: str, inverted: bool = False, scale: float = 1.0) -> list[Rule]:
    return [Rule(pattern=p, channel=channel, inverted=inverted, scale=scale) for p in patterns]


# First match wins, so the specific stands before the general.
DEFAULT_RULES: tuple[Rule, ...] = tuple(
    [
        # Identity and bookkeeping that say nothing about health.
        *_rules(
            None,
            r"^service_(name|version|instance_id)$",
            r"_sha$",
            r"revision$",
            r"_limit_bytes$",
            r"threads_max$",
            r"^status$",
            r"^recent_logs$",
            r"^node_?(cpu|memory|mem|network|net)",
            r"cpu_(limit|request)_millicore",
            r"in_edge_destination",
            r"docker_.*_core_\d+",
            r"availability_zone",
            r"memory_limit",
        ),
        # Changes.
        *_rules(Channel.DEPLOY_AGE, r"deploy.*age"),
        *_rules(Channel.CONFIG_AGE, r"config.*age"),
        *_rules(Channel.UPTIME, r"uptime", r"container_start.*ago"),
        *_rules(Channel.RESTARTS, r"restart", r"oom_?kill", r"probe_consecutive_failures"),
        # Logs.
        *_rules(None, r"^log_count$", r"^log_tpl_new$"),
        *_rules(Channel.LOGS, r"^log_", r"error_?log", r"log.*err"),
        # Calls that the service makes itself.
        *_rules(Channel.CLIENT_ERROR, r"client.*(err|fail|retr)", r"^src_.*(err|fail)"),
        *_rules(Channel.CLIENT_ERROR, r"^src_success", inverted=True),
        *_rules(Channel.CLIENT_LATENCY, r"^src_p\d", r"client_?(latency|duration)", r"^podclientlatency"),
        # Network.
        *_rules(
            Channel.NETWORK_FAULT,
            r"packet_?loss",
            r"retrans",
            r"trace_net",
            r"client_minus_server",
            r"tcp.*(drop|err|reset)",
            r"net.*(drop|err)",
            r"handshake_fail",
        ),
        # Errors as callers see them.
        *_rules(
            Channel.ERROR, r"(success|avail)[a-z]*_?(rate|ratio|average|pct)?", inverted=True, scale=0.01
        ),
        *_rules(Channel.ERROR, r"dest_success", inverted=True),
        *_rules(
            Channel.ERROR,
            r"err(or)?s?(_|$)",
            r"err(or)?_?rate",
            r"fail",
            r"5xx",
            r"fault_rate",
            r"orphaned_call",
            r"deadline_exceeded",
        ),
        # Latency.
        *_rules(Channel.OWN_LATENCY, r"trace_excl.*_us$", scale=1e-6),
        *_rules(Channel.OWN_LATENCY, r"excl.*(lat|dur|p\d\d)", r"self_?time", r"own_?latency", r"gc_pause"),
        *_rules(Channel.LATENCY_TAIL, r"trace_p9\d_us$", scale=1e-6),
        *_rules(
            Channel.LATENCY_TAIL,
            r"(lat|dur|resp|rt).*(p?9\d|tail|max)",
            r"_p9\d",
            r"^dest_p9\d",
            r"in_edge_source",
        ),
        *_rules(
            Channel.LATENCY_MID, r"lat(ency)?", r"duration", r"response_?time", r"_p50", r"_p75", r"\brt\b"
        ),
        # Traffic.
        *_rules(Channel.DISK_IO, r"diskio"),
        *_rules(
            Channel.TRAFFIC,
            r"qps",
            r"rps",
            r"requests?_(sum|count|total|rate|per)",
            r"workload",
            r"throughput",
            r"ops\)?$",
            r"trace_spans",
            r"invocations",
            r"^requests",
        ),
        # Resources.
        *_rules(
            Channel.SATURATION,
            r"throttl",
            r"queue",
            r"pool",
            r"thread",
            r"file_desc",
            r"open_?files",
            r"fds?$",
            r"active_requests",
            r"concurren",
            r"connections",
            r"fs_usage",
            r"disk.*(usage|util|ratio|full)",
            r"inflight",
            r"gc_count",
            r"eviction",
            r"heap_used_after_gc",
        ),
        *_rules(Channel.SATURATION, r"hit_?rate", r"ready_replicas", r"drain_rate", inverted=True),
        *_rules(Channel.CPU, r"cpu.*(rate\(%\)|pct|percent)", scale=0.01),
        *_rules(Channel.CPU, r"cpu", r"\bload\d?\b", r"system_load"),
        *_rules(Channel.MEMORY, r"mem.*(rate\(%\)|pct|percent)", scale=0.01),
        *_rules(Channel.MEMORY, r"mem.*(free|avail)", inverted=True),
        *_rules(Channel.MEMORY, r"mem", r"heap", r"rss"),
        # "net_transmit" says net first: outbound names stand before inbound ones.
        *_rules(
            Channel.NETWORK_OUT,
            r"net.*(trans|trains|sent|tx|out)",
            r"(tx|sent|out)_?bytes",
            r"bytes_out",
            r"outbound",
        ),
        *_rules(Channel.NETWORK_IN, r"net", r"rx", r"receiv", r"bytes_in", r"inbound"),
        *_rules(
            Channel.DISK_IO,
            r"disk",
            r"^fs_",
            r"syscall",
            r"blkio",
            r"io_?(read|write|wait|time)",
            r"\biops\b",
        ),
    ]
)

# Channels whose natural unit is a share of a whole: their absolute level means something without a baseline.
SHARES = frozenset({Channel.ERROR, Channel.CPU, Channel.MEMORY})


class ChannelMap:
    """Maps metric names to channels, remembering each answer.

    Args:
        extra: rules tried before the default ones, such as those of `read_rules`.
    """

    def __init__(self, extra: Sequence[Rule] = ()) -> None:
        self._compiled = [
            (re.compile(rule.pattern, re.IGNORECASE), rule) for rule in (*extra, *DEFAULT_RULES)
        ]
        self._known: dict[str, Mapping | None] = {}
        self._unmapped: set[str] = set()

    def __call__(self, name: str) -> Mapping | None:
        """The meaning of the metric `name`; None when no rule knows it or a rule sets it aside."""
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    def unmapped(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that no rule knows, sorted, for a report."""
        return sorted(name for name in set(names) if self(name) is None and name in self._unmapped)

    def _look_up(self, name: str) -> Mapping | None:
        for pattern, rule in self._compiled:
            if pattern.search(name):
                return Mapping(rule.channel, rule.inverted, rule.scale) if rule.channel else None
        self._unmapped.add(name)
        return None


@lru_cache(maxsize=1)
def default_channel_map() -> ChannelMap:
    """The map of the default rules, shared."""
    return ChannelMap()


def channel_of(name: str) -> Channel | None:
    """The channel of a metric name under the default rules, or None."""
    mapping = default_channel_map()(name)
    return mapping.channel if mapping else None


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Reads a rule file: a JSON list of {"pattern", "channel", "inverted"?, "scale"?}.

    Raises:
        SchemaError: not JSON, an unknown channel, or a pattern that is no regular expression.
    """
    try:
        rules = TypeAdapter(tuple[Rule, ...]).validate_python(json.loads(path.read_text(encoding="utf-8")))
        for rule in rules:
            re.compile(rule.pattern)
    except json.JSONDecodeError as error:
        raise SchemaError(
            f"{path}:{error.lineno}", "", error.doc[error.pos : error.pos + 20], "not JSON"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SchemaError(str(path), ".".join(map(str, first["loc"])), first["input"], first["msg"]) from None
    except re.error as error:
        raise SchemaError(str(path), "pattern", error.pattern, f"no regular expression: {error}") from None
    return rules
