"""Maps metric names of any system to channels, by the rules in `channel_rules.toml` or a user's file."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from data.errors import SchemaError
from data.observation import parse


class Channel(StrEnum):
    """What a metric measures, whatever its name. Higher is worse unless its rule says `inverted`."""

    ERROR = "error"  # share or number of failures, as the service's callers see them
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
    LOG_SHIFT = "log_shift"  # how far its log lines differ from usual
    DEPLOY_AGE = "deploy_age"  # seconds since the last deployment
    CONFIG_AGE = "config_age"  # seconds since the last configuration change
    UPTIME = "uptime"  # seconds since the process started


_LARGEST_SHARE = 1.5  # a share may exceed 1 in a burst; above this, values are percentages
_SECONDS = {"ms": 1e-3, "milliseconds": 1e-3, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}

# Word boundaries without a separator: latencyP99, p99Latency, CPUUtilization; but not CPUs.
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])(?!.s(?![a-z]))")


def words_of(name: str) -> str:
    """The words of a metric name, in lower case, separated by blanks: "cpu usage rate %"."""
    return " ".join(re.findall(r"[^\W_]+|%", _HUMPS.sub(" ", name).lower()))


def _pattern(text: object) -> object:
    return _compiled(text) if isinstance(text, str) else text


def _whole_words(text: object) -> object:
    if not isinstance(text, str):
        return text
    _compiled(text)  # errors should quote the text as written
    between = text.replace(" .. ", r"(?: \S+)* ")
    return _compiled(rf"(?<!\S)(?:{between})(?!\S)")


def _compiled(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None


_Pattern = Annotated[re.Pattern[str], BeforeValidator(_pattern)]
_Words = Annotated[re.Pattern[str], BeforeValidator(_whole_words)]


class Rule(BaseModel):
    """One rule of a rule file; see the head of `channel_rules.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patterns: tuple[_Pattern, ...] = ()
    words: tuple[_Words, ...] = ()
    unless: tuple[_Words, ...] = ()
    channel: Channel | Literal[""]
    inverted: bool = False
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    by_size: bool = False
    in_seconds: bool = False
    per: str = ""
    floor: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _looks_for_something(self) -> Self:
        if not self.patterns and not self.words:
            raise ValueError("a rule needs patterns or words")
        return self

    def fits(self, spellings: Iterable[str], words: str) -> bool:
        """Whether the rule applies to a metric with these spellings and words."""
        found = any(word.search(words) for word in self.words) or any(
            pattern.search(one) for one in spellings for pattern in self.patterns
        )
        return found and not any(word.search(words) for word in self.unless)

    def meaning(self, words: str) -> "Meaning | None":
        """The meaning of a metric with these words; None if the rule says to ignore it."""
        if not self.channel:
            return None
        units = [_SECONDS[word] for word in words.split() if word in _SECONDS] if self.in_seconds else []
        scale = units[-1] if units else self.scale
        return Meaning(self.channel, self.inverted, scale, self.per, self.floor, self.by_size, self.weight)


class Rules(BaseModel):
    """The rules of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class OwnRules:
    """A user's rule file: its rules, and its text to save with a checkpoint."""

    rules: Rules
    text: str


@dataclass(frozen=True)
class Meaning:
    """What a metric name means: its channel, its bad direction and its unit."""

    channel: Channel
    inverted: bool
    scale: float  # the factor to our unit: seconds, or 0..1 for shares
    per: str = ""  # name of the metric that this count is divided by, if both are measured
    floor: float = 0.0  # smallest difference that matters, in our unit; 0: the channel's default
    by_size: bool = False  # a share or a percentage, depending on its values
    weight: float = 1.0  # one alert of this name counts as this many

    def scale_of(self, largest: float) -> float:
        """The factor to our unit, if the metric's largest value in the system is `largest`."""
        if not self.by_size:
            return self.scale
        return 0.01 if largest > _LARGEST_SHARE else 1.0

    @property
    def good_direction(self) -> str:
        """The direction of an improvement, "up" or "down"."""
        return "up" if self.inverted else "down"


class ChannelMap:
    """Maps metric names to channels, remembering each answer.

    Args:
        own: rules to try before the default ones, from `read_rules`.
    """

    def __init__(self, own: OwnRules | None = None) -> None:
        self._own = own
        self._rules = (own.rules.rule if own else ()) + _default_rules().rule
        self._known: dict[str, Meaning | None] = {}
        self._unmapped: set[str] = set()

    def __call__(self, name: str) -> Meaning | None:
        """The meaning of the metric `name`; None if no rule fits or a rule says to ignore it."""
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    @property
    def own(self) -> OwnRules | None:
        """The rules that are tried before the default ones."""
        return self._own

    def unmapped(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that no rule fits, sorted."""
        return sorted(name for name in set(names) if self(name) is None and name in self._unmapped)

    def _look_up(self, name: str) -> Meaning | None:
        spellings, words = {name, re.sub(r"[.:\-/ ]", "_", name)}, words_of(name)
        for rule in self._rules:
            if rule.fits(spellings, words):
                return rule.meaning(words)
        self._unmapped.add(name)
        return None


@lru_cache(maxsize=1)
def default_channel_map() -> ChannelMap:
    """The map with the default rules, shared."""
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
def _default_rules() -> Rules:
    text = resources.files("data").joinpath("channel_rules.toml").read_text(encoding="utf-8")
    return _parse_rules(text, "channel_rules.toml")


def _parse_rules(text: str, where: str) -> Rules:
    try:
        return parse(Rules, tomllib.loads(text), where)
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(where, "", str(error), "write a TOML file with [[rule]] tables") from None
