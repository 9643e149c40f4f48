"""The form of a contract rule: a function that checks it and whose docstring states it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")
S = TypeVar("S")  # what a rule is about


class Broken(Exception):
    """A rule is broken; the message says what was seen instead."""


class NotTried(Exception):
    """A rule could not be checked; the message says why."""


@dataclass(frozen=True)
class RuleResult:
    """The result of checking one rule."""

    rule: str
    sentence: str
    passed: bool
    why: str = ""  # it failed or, with `passed`, could not be tried


@dataclass(frozen=True)
class ContractRule(Generic[R]):
    """A function that raises `Broken`; its name is the rule's name, its docstring the rule."""

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
        """The result: passed unless there is a reason `why` not."""
        return RuleResult(self.name, self.sentence, why is None, why or "")


class ContractRules(list[ContractRule[R]]):
    """ContractRules in the order of their functions, which it decorates."""

    def __call__(self, holds: Callable[[S], R]) -> Callable[[S], R]:
        """Adds a rule."""
        self.append(ContractRule(holds))
        return holds


def demand(condition: bool, why: str) -> None:
    """Raises `Broken(why)` unless `condition` holds."""
    if not condition:
        raise Broken(why)
