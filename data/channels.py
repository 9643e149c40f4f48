"""Metric names of any system → semantic channels, by the rules of `channel_rules.toml` or a user's file."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from data.errors import SchemaError
from data.observation import parse


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
    NETWORK_FAULT = "network_fault"  # loss, retransmits, time spent on the network
    DISK_IO = "disk_io"  # reads, writes, system calls
    RESTARTS = "restarts"
    LOGS = "logs"  # unusual or error lines
    LOG_SHIFT = "log_shift"  # how unlike the usual its log lines are
    DEPLOY_AGE = "deploy_age"  # seconds since the last deployment
    CONFIG_AGE = "config_age"  # seconds since the last configuration change
    UPTIME = "uptime"  # seconds since the process started


class Rule(BaseModel):
    """One rule of a rule file; see the head of `channel_rules.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patterns: tuple[re.Pattern[str], ...]
    channel: Channel | Literal[""]
    inverted: bool = False
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    per: str = ""
    floor: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class _RuleFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rule: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class OwnRules:
    """A user's rule file: its rules, and its text to be kept beside what was learnt by them."""

    rules: tuple[Rule, ...]
    text: str


@dataclass(frozen=True)
class Meaning:
    """What a metric name means: its channel, its bad direction, and the factor to our unit."""

    channel: Channel
    inverted: bool
    scale: float
    per: str = ""  # name of the metric that it is a count out of, where both are measured
    floor: float = 0.0  # smallest difference worth a mention, in our unit; 0: as the channel has it

    @property
    def good_direction(self) -> str:
        """Where the metric goes, "up" or "down", when things get better."""
        return "up" if self.inverted else "down"


class ChannelMap:
    """Maps metric names to channels, remembering each answer.

    Args:
        own: rules tried before the default ones, such as those of `read_rules`.
    """

    def __init__(self, own: OwnRules | None = None) -> None:
        self._own = own
        self._rules = (*(own.rules if own else ()), *_default_rules())
        self._known: dict[str, Meaning | None] = {}
        self._unmapped: set[str] = set()

    def __call__(self, name: str) -> Meaning | None:
        """The meaning of the metric `name`; None when no rule knows it or a rule sets it aside."""
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    @property
    def own(self) -> OwnRules | None:
        """The rules that are tried before the default ones."""
        return self._own

    def unmapped(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that no rule knows, sorted, for a report."""
        return sorted(name for name in set(names) if self(name) is None and name in self._unmapped)

    def _look_up(self, name: str) -> Meaning | None:
        spellings = dict.fromkeys((name, re.sub(r"[.\-/ ]", "_", name)))
        for rule in self._rules:
            patterns = (pattern.pattern for pattern in rule.patterns)
            if any(re.search(p, one, re.IGNORECASE) for p in patterns for one in spellings):
                if not rule.channel:
                    return None
                return Meaning(rule.channel, rule.inverted, rule.scale, rule.per, rule.floor)
        self._unmapped.add(name)
        return None


@lru_cache(maxsize=1)
def default_channel_map() -> ChannelMap:
    """The map of the default rules, shared."""
    return ChannelMap()


def channel_of(name: str) -> Channel | None:
    """The channel of a metric name under the default rules, or None."""
    meaning = default_channel_map()(name)
    return meaning.channel if meaning else None


def read_rules(path: Path) -> OwnRules:
    """Reads a rule file.

    Raises:
        SchemaError: not TOML, an unknown channel or field, or a pattern that is no regular expression.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SchemaError(str(path), "", "other bytes", "write the rules in UTF-8") from None
    except OSError as error:
        raise SchemaError(str(path), "", error.strerror, "give a readable rule file") from None
    return OwnRules(_parse_rules(text, str(path)), text)


@lru_cache(maxsize=1)
def _default_rules() -> tuple[Rule, ...]:
    text = resources.files("data").joinpath("channel_rules.toml").read_text(encoding="utf-8")
    return _parse_rules(text, "channel_rules.toml")


def _parse_rules(text: str, where: str) -> tuple[Rule, ...]:
    try:
        return parse(_RuleFile, tomllib.loads(text), where).rule
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(where, "", str(error), "write a TOML file with [[rule]] tables") from None
