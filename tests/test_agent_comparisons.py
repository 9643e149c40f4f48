"""Comparisons in words and plots: too few pairs are reported, and single lines share a plot."""

import pytest

from agent.benchmark.results import ALPHA, Comparison
from agent.benchmark.statistics import compare_pairs
from agent.report.comparisons import comparison_in_words, comparison_section, summary


def compared(pairs: int, of: str = "episodes", arm: str = "b", better: float = 1.0) -> Comparison:
    before = dict.fromkeys(range(pairs), 0.0)
    after = dict.fromkeys(range(pairs), better)
    return compare_pairs("score", ("a", before), (arm, after), {}, binary=True, of=of)


@pytest.mark.parametrize("pairs", range(1, 9))
def test_it_is_said_when_no_number_of_wins_could_show_a_difference(pairs: int) -> None:
    said = comparison_in_words(compared(pairs))
    assert ("too few pairs" in said) == (2 / 2**pairs >= ALPHA) == ("6 or more could" in said)
    assert ("higher" in said) == (pairs >= 6)
    assert "no difference shown" in comparison_in_words(compared(9, better=0.0))


def test_arms_without_a_difference_are_told_together() -> None:
    [said] = summary([compared(3, arm="b"), compared(3, arm="c")])
    assert said.startswith("Too few pairs to show a difference in score from a: b +1.000, c +1.000")
    [said] = summary([compared(9, arm="b", better=0.0), compared(9, arm="c", better=0.0)])
    assert said.startswith("No difference shown in score from a: ")


def test_sources_with_one_line_each_share_a_plot() -> None:
    lone = [compared(7, of=f"s{number}.jsonl") for number in range(6)]
    [chart] = comparison_section(lone).charts
    assert all(f"s{number}.jsonl: b − a" in str(chart.spec) for number in range(6))
    several = [*lone, compared(7, of="s0.jsonl", arm="c")]
    assert len(comparison_section(several).charts) == 6
