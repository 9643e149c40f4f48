"""Paired statistics find planted differences, no others, and leave out unscored pairs."""

import math
import random

import pytest

from agent.benchmark.statistics import compare_pairs, corrected, topology_of


def planted(seed, points, pairs=300, per_topology=5, binary=False):
    """Two arms on the same tasks; hard topologies are hard for both, `after` is `points` better."""
    draw = random.Random(seed)
    reference, arm, clusters = {}, {}, {}
    for pair in range(pairs):
        key = (f"task {pair}", 0)
        clusters[key] = pair // per_topology
        level = random.Random(f"{seed} {clusters[key]}").uniform(0.5, 0.8)
        if binary:
            reference[key] = float(draw.random() < level)
            # One task in a hundred is lost by chance and one is won, so the means differ by `points` alone.
            change = 0.01 / level if reference[key] else (0.01 + points) / (1 - level)
            arm[key] = 1 - reference[key] if draw.random() < change else reference[key]
        else:
            reference[key] = level + draw.gauss(0, 0.1)
            arm[key] = reference[key] + points + draw.gauss(0, 0.15)
    return ("before", reference), ("after", arm), clusters


def compared(seed, points, binary=False):
    reference, arm, clusters = planted(seed, points, binary=binary)
    return compare_pairs("score", reference, arm, clusters, binary=binary, seed=seed)


def test_a_planted_difference_of_five_points_at_300_pairs_is_found():
    found = [compared(seed, 0.05) for seed in range(20)]
    assert all(comparison.verdict == "higher" for comparison in found)
    assert all(comparison.effect > 0 for comparison in found)
    assert sum(c.ci95[0] <= 0.05 <= c.ci95[1] for c in found) >= 17
    assert {compared(seed, -0.05).verdict for seed in range(5)} == {"lower"}


def test_a_planted_zero_is_not():
    found = [compared(seed, 0.0) for seed in range(40)]
    assert sum(comparison.is_shown for comparison in found) <= 3
    assert "no difference shown" in {comparison.verdict for comparison in found}


def test_shares_are_tested_by_the_pairs_that_changed():
    higher = [compared(seed, 0.05, binary=True) for seed in range(20)]
    assert sum(comparison.verdict == "higher" for comparison in higher) >= 18
    assert {comparison.test for comparison in higher} == {"mcnemar"}
    none = [compared(seed, 0.0, binary=True) for seed in range(20)]
    assert sum(comparison.is_shown for comparison in none) <= 2


def test_a_difference_that_one_topology_alone_makes_is_not_shown():
    reference = dict.fromkeys(range(100), 0.5)
    arm = {task: 0.5 + (0.4 if task < 30 else 0.0) for task in range(100)}
    alone = compare_pairs("score", ("a", reference), ("b", arm), {}, binary=False)
    together = {task: "one" if task < 30 else task for task in range(100)}
    clustered = compare_pairs("score", ("a", reference), ("b", arm), together, binary=False)
    assert alone.is_shown and alone.clusters == 100
    assert not clustered.is_shown and clustered.clusters == 71


def test_by_hand():
    reference = {1: 0.0, 2: 0.0, 3: 0.0, 4: 1.0, 5: 1.0, 6: math.nan, 7: 1.0}
    arm = {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.0, 5: 1.0, 6: 1.0, 8: 0.0}
    comparison = compare_pairs("solved", ("a", reference), ("b", arm), {}, binary=True)
    assert (comparison.n, comparison.unscored, comparison.unpaired) == (5, 1, 2)
    assert (comparison.reference_mean, comparison.arm_mean) == (0.4, 0.8)
    assert comparison.difference == pytest.approx(0.4)
    assert comparison.effect == pytest.approx(0.25)  # three of four changes are up
    assert comparison.p == pytest.approx(10 / 16)  # two-sided binomial, 1 of 4
    amounts = compare_pairs("score", ("a", {1: 0, 2: 0, 3: 0}), ("b", {1: 3, 2: 2, 3: -1}), {}, binary=False)
    assert amounts.effect == pytest.approx((3 + 2 - 1) / 6)


@pytest.mark.parametrize("binary", [False, True])
def test_equal_and_empty_arms(binary):
    same = {key: float(key % 2) for key in range(30)}
    equal = compare_pairs("x", ("a", same), ("b", same), {}, binary=binary)
    assert equal.p == 1.0 and equal.difference == 0 and math.isnan(equal.effect)
    assert equal.verdict == "no difference shown"
    nothing = compare_pairs("x", ("a", same), ("b", {}), {}, binary=binary)
    assert (
        nothing.n == 0 and nothing.unpaired == 30 and math.isnan(nothing.p) and math.isnan(nothing.difference)
    )
    assert nothing.verdict == "no difference shown"
    lone = compare_pairs("x", ("a", {0: 0.0}), ("b", {0: 1.0}), {}, binary=binary)
    assert lone.n == 1 and lone.difference == 1 and not lone.is_shown


def test_many_comparisons_are_corrected_together():
    found = [compared(seed, 0.01) for seed in range(10)]
    nothing = compare_pairs("x", ("a", {}), ("b", {}), {}, binary=False)
    together = corrected([*found, nothing])
    for alone, held in zip(found, together, strict=False):
        assert held.p == alone.p and held.p_holm >= alone.p
    assert min(c.p_holm for c in together[:10]) == pytest.approx(min(1.0, 10 * min(c.p for c in found)))
    assert math.isnan(together[-1].p_holm)
    assert corrected([found[0]])[0] == found[0]
    assert corrected([]) == ()


def test_a_topology_is_its_services_and_calls():
    assert topology_of({"a": ["b", "c"], "b": []}) == topology_of({"b": [], "a": ["c", "b", "b"]})
    assert topology_of({"a": ["b"]}) != topology_of({"b": ["a"]})
    assert topology_of({}) != topology_of({"a": []})
