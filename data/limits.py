"""Limits on input from outside, in one place; `FIREWATCH_LIMITS` changes them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from data.errors import SettingsError

VARIABLE = "FIREWATCH_LIMITS"
MIB = 2**20


@dataclass(frozen=True)
class InputLimits:
    """The limits of one process; larger input is refused with an error."""

    answer_mib: int = 32  # an environment's answer, unpacked; about 5 for a world of 10,000 services
    memory_mib: int = 128  # memory for a decoded answer; about 25 for the same world
    services: int = 100_000  # in one observation
    file_mib: int = 512  # memory for a decoded JSON file
    line_mib: int = 128  # one line of a file
    model_answer_mib: int = 1  # a model's answer, unpacked


def read_limits(variables: Mapping[str, str]) -> InputLimits:
    """Reads `FIREWATCH_LIMITS`, such as `answer_mib=64,services=5000`; the rest keep their defaults.

    Raises:
        SettingsError: an unknown name, or a value that is not a whole number above 0.
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
    """The limits of this process."""
    return _limits


def set_limits(bounds: InputLimits) -> None:
    """Sets the limits of this process, before it reads anything."""
    global _limits
    _limits = bounds
