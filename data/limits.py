"""The most that is taken in from outside: one place for every bound that somebody may have to move."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from data.errors import SettingsError

VARIABLE = "FIREWATCH_LIMITS"
MIB = 2**20


@dataclass(frozen=True)
class InputLimits:
    """Bounds of one process; what exceeds one is refused in one line."""

    answer_mib: int = 32  # an environment's answer, unpacked; a world of 10,000 services has about 5
    memory_mib: int = 128  # what an answer may take once decoded; the same world takes about 25
    services: int = 100_000  # of one observation
    file_mib: int = 512  # what a file of JSON may take once decoded
    line_mib: int = 128  # one line of a file
    model_answer_mib: int = 1  # a model's answer, unpacked


def read_limits(variables: Mapping[str, str]) -> InputLimits:
    """The bounds that `FIREWATCH_LIMITS` sets, such as `answer_mib=64,services=5000`; the rest are the usual.

    Raises:
        SettingsError: an unknown name, or no whole number above 0.
    """
    known = [field.name for field in fields(InputLimits)]
    given = {}
    for entry in filter(None, (part.strip() for part in variables.get(VARIABLE, "").split(","))):
        name, _, number = entry.partition("=")
        if name not in known or not number.isascii() or not number.isdigit() or not 0 < int(number) < 10**9:
            names = ", ".join(known)
            raise SettingsError(f"{VARIABLE}: '{entry[:80]}' – write name=NUMBER; names are {names}")
        given[name] = int(number)
    return InputLimits(**given)


_limits = InputLimits()


def limits() -> InputLimits:
    """The bounds of this process."""
    return _limits


def set_limits(bounds: InputLimits) -> None:
    """Sets the bounds of this process, before it reads anything."""
    global _limits
    _limits = bounds
