"""A ranking in words: how sure it is, and what kind of fault it looks like."""

import pytest

from agent.report.diagnosis import diagnosis
from data.incident import Incident
from gnn.ranker import Candidate, Evidence, Ranking

INCIDENT = Incident("i", ("web", "db"), {"web": ["db"]})
SUSPECTS = (Candidate("db", 2.0, 0.9, (Evidence("errors went up", "db"),)), Candidate("web", 1.0, 0.1))


def test_the_kind_of_fault_is_named_once_it_is_likelier_than_not() -> None:
    likely = Ranking(SUSPECTS, "gnn", families={"memory_leak": 0.7, "oom": 0.3})
    assert diagnosis(INCIDENT, likely, 2).splitlines() == [
        "2 services, 1 call.",
        "Suspects by 'gnn':",
        "  1. db  90 %",
        "       - errors went up",
        "       looks like memory leak (70 %)",
        "  2. web  10 %",
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


@pytest.mark.parametrize(("chance", "told"), [(0.73, "likely (73 %)"), (0.25, "unlikely (25 %)")])
def test_the_chance_of_an_incident_is_told(chance: float, told: str) -> None:
    assert f"Incident {told}." in diagnosis(
        INCIDENT, Ranking(SUSPECTS, "gnn", incident_probability=chance), 1
    )


def test_who_names_nobody_says_why_and_lists_nobody() -> None:
    ranking = Ranking(SUSPECTS, "gnn", "nobody", "nothing here deviates", incident_probability=0.54)
    told = ["Incident possible (54 %).", "Nobody: nothing here deviates."]
    assert diagnosis(INCIDENT, ranking, 2).splitlines()[1:] == told


@pytest.mark.parametrize(
    ("chances", "told"),
    [
        ((0.45, 0.4, 0.1), "unsure between a and b"),
        ((0.3, 0.28, 0.26), "unsure between a, b and c"),
        ((0.45, 0.1, 0.1), "unsure"),
    ],
)
def test_who_is_unsure_names_those_between_whom(chances: tuple[float, ...], told: str) -> None:
    suspects = tuple(Candidate(name, 1.0, chance) for name, chance in zip("abc", chances, strict=True))
    words = diagnosis(INCIDENT, Ranking(suspects, "gnn", "unsure"), 1)
    assert f"Suspects by 'gnn', {told}:" in words


@pytest.mark.parametrize(
    ("chance", "told"),
    [(0.0, "0 %"), (0.001, "under 1 %"), (0.5, "50 %"), (0.999, "over 99 %"), (1.0, "100 %")],
)
def test_nothing_that_is_only_likely_is_called_certain(chance: float, told: str) -> None:
    assert f"db  {told}" in diagnosis(INCIDENT, Ranking((Candidate("db", 1.0, chance),), "gnn"), 1)
