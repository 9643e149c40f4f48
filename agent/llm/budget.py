"""Budgets for models: limits, spending so far, and what open questions may still cost."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent.situation.decision import Usage


@dataclass(frozen=True)
class Budget:
    """Spending limits; infinite where there is none."""

    tokens: float = math.inf
    cost_usd: float = math.inf
    seconds: float = math.inf

    def exceeded(self, spent: Usage, seconds: float) -> str | None:
        """Which limit is reached, if any."""
        if spent.prompt_tokens + spent.completion_tokens >= self.tokens:
            return "budget_tokens"
        if spent.cost_usd >= self.cost_usd:
            return "budget_money"
        return "budget_seconds" if seconds >= self.seconds else None


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    prompt: float
    completion: float

    def of(self, usage: Usage) -> float:
        """What `usage` costs."""
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6


@dataclass
class Ledger:
    """What has been spent so far, by one task or by the whole run.

    However many tasks ask at once, a budget is exceeded by one question at most: open questions count with
    the most that they may cost.
    """

    budget: Budget = field(default_factory=Budget)
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    _under_way: list[Usage] = field(default_factory=list)

    def add(self, usage: Usage, seconds: float) -> None:
        """Adds one question."""
        self.usage += usage
        self.seconds += seconds

    @contextmanager
    def reserving(self, most: Usage) -> Iterator[None]:
        """Counts a question with `most` while it is under way."""
        self._under_way.append(most)
        try:
            yield
        finally:
            self._under_way.remove(most)

    @property
    def exceeded(self) -> str | None:
        """Which limit is reached, if any."""
        return self.budget.exceeded(sum(self._under_way, self.usage), self.seconds)
