"""The measures: ties in expectation, misses, unscored cases, calibration and intervals."""

import itertools
import math
import random

import pytest
from scipy import stats

from gnn.evaluation.metrics import (
    abstention,
    expected_calibration_error,
    interval,
    reliability,
    risk_coverage,
    score_ranking,
    share_interval,
    summarise,
)
from gnn.ranker import Candidate, Ranking


def ranking(scores, probability=None):
    candidates = tuple(Candidate(name, value, probability) for name, value in scores.items())
    return Ranking(candidates, "test")


def test_a_strict_order():
    case = score_ranking(ranking({"a": 3, "b": 2, "c": 1}), 10, ["c"])
    assert case.ac == (0, 0, 1, 1, 1)
    assert case.mrr == pytest.approx(1 / 3)
    assert case.avg5 == pytest.approx(3 / 5)
    assert case.chance == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.5))


def test_ties_and_several_roots_equal_the_mean_over_all_orders():
    draw = random.Random(3)
    for _ in range(60):
        names = "abcdef"[: draw.randint(1, 6)]
        scores = {name: draw.randint(0, 2) for name in names}
        roots = set(draw.sample("abcdefg", draw.randint(1, 3)))
        got = score_ranking(ranking(scores), len(names), roots)
        ac, mrr, orders = [0.0] * 5, 0.0, 0
        for order in itertools.permutations(names):
            ordered = sorted(order, key=lambda name: -scores[name])
            first = next((rank for rank, name in enumerate(ordered, 1) if name in roots), math.inf)
            ac = [value + (first <= k) for k, value in enumerate(ac, 1)]
            mrr, orders = mrr + 1 / first, orders + 1
        assert got.ac == pytest.approx([value / orders for value in ac])
        assert got.mrr == pytest.approx(mrr / orders)


def test_the_order_in_which_ties_are_listed_does_not_matter():
    tied = {"a": 1, "b": 1, "c": 1}
    assert score_ranking(ranking(tied), 3, ["a"]) == score_ranking(
        ranking(dict(reversed(tied.items()))), 3, ["a"]
    )
    assert score_ranking(ranking(tied), 3, ["a"]).ac[:3] == pytest.approx((1 / 3, 2 / 3, 1))


@pytest.mark.parametrize("scores", [{}, {"b": 1.0}, {"a": math.nan, "b": 0.0}])
def test_what_is_not_ranked_is_a_miss(scores):
    case = score_ranking(ranking(scores), 3, ["a"])
    assert case.ac == (0,) * 5 and case.mrr == 0 and case.is_scored


def test_without_a_known_root_nothing_is_scored_and_nothing_becomes_zero():
    case = score_ranking(ranking({"a": 1}), 1, [])
    assert not case.is_scored and math.isnan(case.avg5)
    summary = summarise([case])
    assert (summary.n, summary.unscored) == (0, 1)
    assert math.isnan(summary.ac1) and math.isnan(summary.mrr) and math.isnan(summary.ece)
    assert all(math.isnan(bound) for bound in summary.ci95["ac@1"])
    mixed = summarise([case, score_ranking(ranking({"a": 1}), 1, ["a"])])
    assert (mixed.n, mixed.unscored, mixed.ac1) == (1, 1, 1.0)


def test_chance_is_what_random_orders_reach():
    draw = random.Random(0)
    names = [str(i) for i in range(8)]
    cases = []
    for _ in range(4000):
        order = {name: draw.random() for name in names}
        cases.append(score_ranking(ranking(order), len(names), ["0", "5"]))
    summary = summarise(cases)
    assert {name: summary.value(name) for name in summary.chance} == pytest.approx(summary.chance, abs=0.03)


def test_calibration_error_of_honest_and_boastful_claims():
    draw = random.Random(1)
    claims = [draw.random() for _ in range(20_000)]
    honest = [float(draw.random() < claim) for claim in claims]
    assert expected_calibration_error(reliability(claims, honest)) < 0.02
    assert expected_calibration_error(reliability([0.9] * 100, [0.4] * 100)) == pytest.approx(0.5)
    assert expected_calibration_error(reliability([0.0, 1.0], [0.0, 1.0])) == 0
    assert math.isnan(expected_calibration_error(reliability([math.nan], [1.0])))


def test_summaries_carry_the_calibration_of_the_first_candidate():
    right = score_ranking(ranking({"a": 2, "b": 1}, probability=0.75), 2, ["a"])
    wrong = score_ranking(ranking({"a": 2, "b": 1}, probability=0.75), 2, ["b"])
    assert summarise([right] * 3 + [wrong]).ece == pytest.approx(0.0)
    assert math.isnan(summarise([score_ranking(ranking({"a": 1}), 1, ["a"])]).ece)  # no claim, no error


def test_risk_falls_with_coverage_when_confidence_means_something():
    points = risk_coverage([0.9, 0.8, 0.8, 0.1, math.nan], [1, 1, 0, 0, 1])
    assert [(p.threshold, p.coverage, p.risk) for p in points] == [
        (0.9, 0.25, 0.0),
        (0.8, 0.75, 1 / 3),
        (0.1, 1.0, 0.5),
    ]


def test_being_unsure_costs_coverage_and_saves_mistakes():
    unsure, correct = [False, False, True, True, True, False], [1, 0.5, 0, 1, 0, math.nan]
    found = abstention(0.5, unsure, correct, range(6))
    assert (found.answered, found.coverage, found.risk) == (2, 0.4, 0.25)
    assert found.risk_unsure == pytest.approx(2 / 3)
    never = abstention(0.5, [True], [1.0], "a")
    assert (never.answered, never.coverage, never.risk_unsure) == (0, 0.0, 0.0) and math.isnan(never.risk)
    assert math.isnan(abstention(0.5, [], [], "").coverage)
    assert math.isnan(abstention(0.5, [False], [1.0], "a").risk_unsure)


def test_intervals_hold_the_mean_and_widen_with_clusters():
    draw = random.Random(2)
    per_cluster = [draw.random() for _ in range(30)]
    values = [value for value in per_cluster for _ in range(10)]
    clusters = [cluster for cluster in range(30) for _ in range(10)]
    low, high = interval(values)
    wide_low, wide_high = interval(values, clusters)
    mean = sum(values) / len(values)
    assert wide_low < low < mean < high < wide_high
    assert interval(values, clusters) == (wide_low, wide_high)  # same seed, same interval
    assert interval([*values, math.nan]) == (low, high)


def test_intervals_cover_the_truth_about_as_often_as_they_claim():
    draw = random.Random(4)
    covered = 0
    for seed in range(200):
        low, high = interval([float(draw.random() < 0.7) for _ in range(80)], seed=seed, resamples=500)
        covered += low <= 0.7 <= high
    assert covered / 200 > 0.88


@pytest.mark.parametrize("trials", [1, 2, 15, 60])
def test_only_hits_leave_room_for_a_miss(trials):
    exact = stats.binomtest(trials, trials).proportion_ci(method="exact")
    assert share_interval([1.0] * trials) == pytest.approx((exact.low, exact.high))
    assert share_interval([0.0] * trials) == pytest.approx((1.0 - exact.high, 1.0 - exact.low))
    assert share_interval([1.0] * trials * 3, [*range(trials)] * 3) == pytest.approx((exact.low, exact.high))


def test_other_shares_have_the_bootstraps_interval():
    values = [1.0, 0.0, 1.0, math.nan, 0.5]
    assert share_interval(values, seed=3) == interval(values, seed=3)
    assert all(math.isnan(bound) for bound in share_interval([]))


def test_one_value_has_no_interval():
    assert all(math.isnan(bound) for bound in interval([1.0]))
    assert all(math.isnan(bound) for bound in interval([]))
