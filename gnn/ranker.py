"""The seam between evidence and decision: what every ranker takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from data.incident import Incident

# Whether somebody is named: the first candidate; several that the ranker cannot tell apart; nobody at all.
Verdict = Literal["culprit", "unsure", "nobody"]


@dataclass(frozen=True)
class Evidence:
    """One plain sentence about a service, and what it is about."""

    text: str
    service: str
    metric: str | None = None  # the metric, or what the alert is called
    call: tuple[str, str] | None = None  # caller, callee

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Candidate:
    """One suspected service."""

    service: str
    score: float
    # Calibrated chance of being a root cause; None when the ranker makes no such claim.
    probability: float | None = None
    # Strongest first: which metric deviates, which callers share it, what changed.
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """Suspects, best first. A service that is not listed was not scored."""

    candidates: tuple[Candidate, ...]
    ranker: str
    # Whom the ranker names; its order is its best guess even where it names nobody.
    verdict: Verdict = "culprit"
    reason: str = ""  # why nobody is named, in a few words
    # The probability of the first candidate below which the ranker is unsure; None when it never is.
    unsure_below: float | None = None
    # Chance that this is an incident, at even odds beforehand; None when the ranker makes no such claim.
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
