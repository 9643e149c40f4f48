"""The exceptions of the project, one a cause; every message says what, where and how to mend it.

FirewatchError
├── SchemaError            a file, body or reply that does not parse
├── SettingsError          an option or environment variable that cannot be used
├── TelemetryFault         a source of live telemetry gave no usable answer
└── EnvironmentFault       the environment gave no usable answer
    ├── Unreachable        no connection, time-out, 5xx
    ├── ProtocolError      an answer that the protocol does not know
    ├── ActionRefused      422: the environment does not accept this action at all
    ├── TaskRefused        unknown or broken task, unknown difficulty
    ├── CapacityReached    the server has no session left
    └── EpisodeLost        the episode is not ours any more: ended, restarted, or reset by somebody else
"""

from enum import Enum


class FirewatchError(Exception):
    """Base of everything this project raises on purpose; the CLI prints it as one line and exits with 2."""


class _Missing(Enum):
    """So that a value that is not there reads so and is pickled as itself."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return self.value


MISSING = _Missing.MISSING


class SchemaError(FirewatchError):
    """Input that does not parse.

    Args:
        where: file and line, URL, or what was being read.
        field: dotted path of the offending field, or "" for the whole input.
        value: what stood there, or `MISSING`.
        fix: what should stand there instead.
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
        # Exceptions are unpickled from their message alone, which is not what this one is made of.
        return type(self), (self.where, self.field, self.value, self.fix)


class SettingsError(FirewatchError):
    """An option or environment variable that cannot be used."""


class TelemetryFault(FirewatchError):
    """A source of live telemetry gave no usable answer; `status` is that of HTTP, 0 without one."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class EnvironmentFault(FirewatchError):
    """The environment gave no usable answer; base of the causes below."""


class Unreachable(EnvironmentFault):
    """No connection, a time-out, or a server error (5xx)."""


class ProtocolError(EnvironmentFault):
    """An answer that the protocol does not know."""


class ActionRefused(EnvironmentFault):
    """The environment does not accept this action at all (HTTP 422, WebSocket VALIDATION_ERROR)."""


class TaskRefused(EnvironmentFault):
    """The environment does not start this task: unknown id or difficulty, or a task broken on its side."""


class CapacityReached(EnvironmentFault):
    """The server has no session left."""


class EpisodeLost(EnvironmentFault):
    """The episode is not ours any more: it ended, the server restarted, or another client reset it."""
