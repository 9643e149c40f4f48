"""Makes a prompt fit into a budget of tokens: the lines that matter least are left out first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.llm.sanitize import FENCE_OPEN
from agent.situation.decision import Message

# The sections of evidence, the one that matters most first.
_WORTH = ("proposals", "services", "hints", "remedies", "logs", "actions", "alerts", "calls")
# Every section gets so many lines before any gets more; None is all of them.
_ROUNDS = (2, 4, None)

CountTokens = Callable[[Sequence[Message]], int]


@dataclass(frozen=True)
class PromptBudget:
    """The most tokens that a prompt may take, and who counts them."""

    tokens: int
    count: CountTokens

    def allows(self, messages: Sequence[Message]) -> bool:
        """Whether they fit."""
        return self.count(messages) <= self.tokens


def with_what_fits(
    sections: Mapping[str, Sequence[str]],
    build: Callable[[Mapping[str, Sequence[str]]], tuple[Message, ...]],
    budget: PromptBudget,
) -> tuple[Message, ...]:
    """The prompt with as many lines of evidence as fit; with none of them it may still be too long.

    Args:
        sections: each with a heading, a fence and lines in it, the most important first.
        build: makes the prompt of sections.
        budget: what has to be kept to.
    """
    kept = dict.fromkeys(sections, 0)
    built = build({})
    for most in _ROUNDS:
        for name in (name for name in _WORTH if sections[name]):
            lines = len(_fenced(sections[name])[:most])
            while kept[name] < lines:
                more = {**kept, name: kept[name] + 1}
                tried = build({each: _cut(sections[each], number) for each, number in more.items()})
                if not budget.allows(tried):
                    break
                kept, built = more, tried
    return built


def _fenced(section: Sequence[str]) -> Sequence[str]:
    return section[section.index(FENCE_OPEN) + 1 : -1]


def _cut(section: Sequence[str], lines: int) -> Sequence[str]:
    """The section with only the first lines in its fence."""
    return [*section[: section.index(FENCE_OPEN) + 1 + lines], section[-1]] if lines else ()
