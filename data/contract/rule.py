"""What a rule of the environment's contract is: a function that states it and raises where it is broken."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")


class Broken(Exception):
    """A rule does not hold; the message says what was seen instead."""


class NotTried(Exception):
    """Nothing can be said of a rule; the message says what was in the way."""


@dataclass(frozen=True)
class RuleResult:
    """One rule's verdict on one environment."""

    rule: str
    sentence: str
    passed: bool
    why: str = ""  # it failed or, if it passed, it could not be tried


@dataclass(frozen=True)
class ContractRule(Generic[R]):
    """A function whose name names the rule and whose docstring states it; it raises `Broken`."""

    holds: Callable[..., R]

    @property
    def name(self) -> str:
        """The function's name, with dashes."""
        return self.holds.__name__.replace("_", "-")

    @property
    def sentence(self) -> str:
        """The function's docstring."""
        return (self.holds.__doc__ or "").strip()

    def verdict(self, why: str | None) -> RuleResult:
        """The result; passed if there is nothing to complain about."""
        return RuleResult(self.name, self.sentence, why is None, why or "")


def demand(condition: bool, why: str) -> None:
    """Raises `Broken(why)` unless `condition` holds."""
    if not condition:
        raise Broken(why)
