"""The interface of every ranker: an incident in, a ranking out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from data.incident import Incident

# The first candidate is named; the ranker cannot decide; or nothing is wrong.
Verdict = Literal["culprit", "unsure", "nobody"]


@dataclass(frozen=True)
class Evidence:
    """One sentence about a service, and what it refers to."""

    text: str
    service: str
    metric: str | None = None  # the metric or alert name
    call: tuple[str, str] | None = None  # caller, callee

    def __str__(self) -> str:
        return self.text


class Candidate(NamedTuple):
    """One suspected service."""

    service: str
    score: float
    # Calibrated chance of being a root cause; None if the ranker gives none.
    probability: float | None = None
    # Strongest first: which metrics deviate, which callers are affected, what changed.
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """Suspects, best first. A service that is not listed was not scored."""

    candidates: tuple[Candidate, ...]
    ranker: str
    # The order is the best guess even if nobody is named.
    verdict: Verdict = "culprit"
    reason: str = ""  # why nobody is to blame, or that nothing is known
    # The ranker is unsure if the first candidate is less probable than this; None: it never is.
    unsure_below: float | None = None
    # Chance that this is an incident, with an even prior; None if the ranker gives none.
    incident_probability: float | None = None
    # Chance of each fault family for the first candidate; for people, never part of a hint.
    families: Mapping[str, float] = field(default_factory=dict)

    @property
    def unsure(self) -> bool:
        """Whether the ranker names no culprit."""
        return self.verdict != "culprit"

    @property
    def services(self) -> tuple[str, ...]:
        """The suspects' names, best first."""
        return tuple(candidate.service for candidate in self.candidates)

    def top(self, k: int) -> tuple[Candidate, ...]:
        """The `k` strongest candidates."""
        return self.candidates[:k]


class Ranker(Protocol):
    """Scores the services of an incident; the same incident always gives the same ranking."""

    @property
    def name(self) -> str:
        """The name under which results are reported."""

    def rank(self, incident: Incident) -> Ranking:
        """Ranks the services of `incident`; an incident without services gives an empty ranking."""
