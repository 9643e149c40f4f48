"""A ranking in words: how much to trust it, and what kind of fault it looks like."""

import pytest

from agent.report.diagnosis import diagnosis
from data.incident import Incident
from gnn.ranker import Candidate, Evidence, Ranking

INCIDENT = Incident("i", ("web", "db"), {"web": ["db"]})
SUSPECTS = (Candidate("db", 2.0, 0.9, (Evidence("errors went up", "db"),)), Candidate("web", 1.0, 0.1))


def test_the_kind_of_fault_is_named_once_it_is_likelier_than_not() -> None:
    likely = Ranking(SUSPECTS, "gnn", families={"memory_leak": 0.7, "oom": 0.3})
    assert diagnosis(INCIDENT, likely, 2).splitlines() == [
        "2 services, 1 calls.",
        "Suspects by 'gnn':",
        "  1. db  90%",
        "       - errors went up",
        "       looks like memory leak (70%)",
        "  2. web  10%",
    ]


@pytest.mark.parametrize(
    "doubtful",
    [
        Ranking(SUSPECTS, "gnn", families={"memory_leak": 0.4, "oom": 0.3, "slow_query": 0.3}),
        Ranking(SUSPECTS, "gnn", verdict="unsure", families={"memory_leak": 0.9}),
        Ranking(SUSPECTS, "heuristic"),
    ],
)
def test_a_doubtful_kind_of_fault_is_not_named(doubtful: Ranking) -> None:
    assert "looks like" not in diagnosis(INCIDENT, doubtful, 2)


def test_the_chance_of_an_incident_says_what_it_supposes() -> None:
    words = diagnosis(INCIDENT, Ranking(SUSPECTS, "gnn", incident_probability=0.25), 1)
    assert "Chance that this is an incident, had every second window been one: 25%." in words
