"""Past incidents with the same id are distinguished by their evidence."""

from dataclasses import replace

import numpy as np

from data.incident import AlertEvent, Incident, Series
from gnn.training.split_history import split_history


def past(name: str, alert: str, *roots: str) -> Incident:
    return Incident(
        name, ("a", "b"), {"a": ("b",)}, alerts=(AlertEvent("b", "log", alert),), root_causes=roots
    )


def told(incidents: list[Incident], history: list[Incident]) -> tuple[list[str], list[str]]:
    learnt, others = split_history(incidents, history)
    return [one.alerts[0].name for one in learnt], [one.alerts[0].name for one in others]


def test_an_id_that_repeats_with_other_content_is_another_incident() -> None:
    assert told([], [past("1", "x"), past("1", "y"), past("2", "x")]) == ([], ["x", "y", "x"])


def test_what_is_given_twice_counts_once_and_with_its_label() -> None:
    assert told([], [past("1", "x"), past("1", "x", "b"), past("1", "x")]) == ([], ["x"])
    assert split_history([], [past("1", "x"), past("1", "x", "b")])[1][0].root_causes == ("b",)
    assert split_history([], [past("1", "x", "b"), past("1", "x")])[1][0].root_causes == ("b",)


def test_what_is_learnt_from_is_no_history() -> None:
    unlabelled = past("2", "y")
    assert told([past("1", "more", "b"), unlabelled], [past("1", "x"), unlabelled]) == (["more"], ["y"])
    assert told([past("1", "x", "b")], [past("1", "x"), past("1", "y"), past("2", "y")]) == (["x"], ["y"])
    reused = [past("1", "x", "b"), past("1", "z", "a")]
    assert told(reused, [past("1", "x"), past("1", "y")]) == (["x", "z"], ["y"])
    assert told([past("3", "z")], [past("1", "x")]) == (["z"], ["x"])


def test_series_tell_incidents_apart() -> None:
    def measured(*points: float) -> Incident:
        return replace(past("1", "x"), telemetry={"a": {"cpu": Series(np.array(points))}})

    assert len(split_history([], [measured(1.0, 2.0), measured(1.0, 3.0), measured(1.0, 2.0)])[1]) == 2
