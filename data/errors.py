"""The project's exceptions, one per cause; every message says what is wrong, where, and how to fix it.

FirewatchError
├── SchemaError            a file, body or reply that does not parse
├── SettingsError          an option or environment variable that cannot be used
├── TelemetryFault         a source of live telemetry gave no usable answer
└── EnvironmentFault       the environment gave no usable answer
    ├── Unreachable        no connection, time-out, 5xx
    ├── ProtocolError      an answer that violates the protocol
    ├── ActionRefused      422: the environment does not accept this action at all
    ├── TaskRefused        unknown or broken task, unknown difficulty
    ├── CapacityReached    the server has no session left
    └── EpisodeLost        the episode is no longer ours: ended, restarted, or reset by another client
"""

from enum import Enum


class FirewatchError(Exception):
    """Base class of the project's errors; the CLI prints them as one line and exits with 2."""


class _Missing(Enum):
    """An enum, so that pickling keeps its identity."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return self.value


MISSING = _Missing.MISSING


class SchemaError(FirewatchError):
    """Input that does not parse.

    Args:
        where: file and line, URL, or what was being read.
        field: dotted path of the offending field, or "" for the whole input.
        value: the value found, or `MISSING`.
        fix: what should be there instead.
    """

    def __init__(self, where: str, field: str, value: object, fix: str) -> None:
        try:
            shown = repr(value)
        except RecursionError:
            shown = "nested too deeply"
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        at = f"field '{field}' is {shown}" if field else f"got {shown}"
        super().__init__(f"{where}: {at} – {fix}")
        self.where, self.field, self.value, self.fix = where, field, value, fix

    def __reduce__(self) -> tuple[type["SchemaError"], tuple[str, str, object, str]]:
        # By default exceptions are unpickled from their message alone.
        return type(self), (self.where, self.field, self.value, self.fix)


class SettingsError(FirewatchError):
    """An option or environment variable that cannot be used."""


class TelemetryFault(FirewatchError):
    """A source of live telemetry gave no usable answer; `status` is the HTTP status, or 0."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class EnvironmentFault(FirewatchError):
    """The environment gave no usable answer; base class of the errors below."""


class Unreachable(EnvironmentFault):
    """No connection, a time-out, or a server error (5xx)."""


class ProtocolError(EnvironmentFault):
    """An answer that violates the protocol."""


class ActionRefused(EnvironmentFault):
    """The environment rejects this action (HTTP 422, WebSocket VALIDATION_ERROR)."""


class TaskRefused(EnvironmentFault):
    """The environment cannot start this task: unknown id or difficulty, or a broken task."""


class CapacityReached(EnvironmentFault):
    """The server has no session left."""


class EpisodeLost(EnvironmentFault):
    """The episode is no longer ours: it ended, the server restarted, or another client reset it."""
