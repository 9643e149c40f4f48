"""Laws of the weights of opinions: each counts as far as it helps on held-out cases."""

import numpy as np
import pytest

from data.incident import Incident
from gnn.features.featurize import featurize
from gnn.network.batch import Example
from gnn.per_system.system_ensemble import Floats, Opinions, Pool, log_softmax, pooled
from gnn.training.cross_fitting import Judged, choose_pool
from gnn.training.folds import kinds_of, splits


def cases(count: int) -> list[Example]:
    graph = featurize(Incident("any", tuple("abcdef"), {}))
    return [Example(graph, np.eye(6, dtype=np.float32)[number % 6], "", "") for number in range(count)]


def judged(
    network: list[Floats],
    forest: list[Floats],
    boosted: list[Floats],
    frequencies: list[Floats] | None = None,
) -> list[Opinions]:
    silent = [np.full(6, -np.log(6.0))] * len(network)
    return [Opinions(*each) for each in zip(network, forest, boosted, frequencies or silent, strict=True)]


def test_who_knows_better_is_heard_more() -> None:
    examples = cases(60)
    rng = np.random.default_rng(0)
    right = [log_softmax(2.0 * example.is_root + rng.normal(size=6)) for example in examples]
    guess = [log_softmax(rng.normal(size=6)) for _ in examples]
    heard, _ = choose_pool(Judged(examples, judged(guess, right, guess)))
    assert heard.forest > 2 * max(heard.network, heard.boosted)
    heard, _ = choose_pool(Judged(examples, judged(guess, guess, right)))
    assert heard.boosted > 2 * max(heard.network, heard.forest)
    ignored, rating = choose_pool(Judged(examples, judged(right, guess, guess)))
    assert ignored.network > 2 * max(ignored.forest, ignored.boosted)
    assert rating.ac1 >= np.mean(
        [example.is_root[s.argmax()] for s, example in zip(right, examples, strict=True)]
    )
    wrong = [log_softmax(-5.0 * example.is_root) for example in examples]
    assert choose_pool(Judged(examples, judged(right, wrong, wrong, wrong)))[0] == Pool()
    heard, _ = choose_pool(Judged(examples, judged(guess, guess, guess, right)))
    assert heard.frequencies > 2 * max(heard.network, heard.forest, heard.boosted)


def test_a_pool_is_as_sure_as_it_is_right() -> None:
    examples = cases(3000)
    rng = np.random.default_rng(0)
    pale = [log_softmax(0.3 * (2.0 * example.is_root + rng.gumbel(size=6))) for example in examples]
    nothing = [log_softmax(np.zeros(6)) for _ in examples]
    pool, rating = choose_pool(Judged(examples, judged(nothing, pale, nothing)))
    said = [np.exp(log_softmax(pooled(each, pool))).max() for each in judged(nothing, pale, nothing)]
    assert np.mean(said) == pytest.approx(rating.ac1, abs=0.05)


def test_trees_that_harm_when_heard_fully_are_heard_a_little() -> None:
    examples = cases(20)
    roots = [int(example.is_root.argmax()) for example in examples]
    network, forest = np.zeros((20, 6)), np.zeros((20, 6))
    for number, root in enumerate(roots):
        rival, other = (root + 1) % 6, (root + 2) % 6
        if number < 3:  # what the network knows, the forest does not
            network[number, root], forest[number, root] = 2.0, -3.0
        else:  # the forest brings the root nearer to the first place, and somebody else into it
            network[number, rival], forest[number, root], forest[number, other] = 6.0, 2.0, 2.5
    said = [[log_softmax(row) for row in rows] for rows in (network, forest, np.zeros((20, 6)))]
    heard, rating = choose_pool(Judged(examples, judged(*said)))
    assert heard.forest > 0.0
    assert rating.ac1 == 3 / 20


def test_a_few_cases_do_not_make_one_opinion_all_that_counts() -> None:
    examples = cases(10)
    right = [log_softmax(4.0 * example.is_root) for example in examples]
    nothing = [log_softmax(np.zeros(6)) for _ in examples]
    pool, _ = choose_pool(Judged(examples, judged(nothing, nothing, right)))
    assert 0.5 < pool.boosted < 2.0


def test_a_kind_of_fault_is_held_out_as_a_whole() -> None:
    (plain, *_), faults = cases(1), ["cpu", "delay", "cpu", "", "delay", "loss"]
    examples = [
        plain._replace(group=str(number), fault=fault, is_root=np.eye(6, dtype=np.float32)[number])
        for number, fault in enumerate(faults)
    ]
    kinds = kinds_of(examples)
    assert kinds["0"] == kinds["2"] != kinds["1"] == kinds["4"] and kinds["3"] == -1
    assert sorted(len(aside) for aside, _ in splits(examples, kinds)) == [1, 2, 2]
    assert kinds_of(examples[:1]) == {}


def test_trees_never_harm_more_on_unknown_kinds_of_faults_than_they_help_on_known_ones() -> None:
    examples = cases(20)
    roots = [log_softmax(8.0 * example.is_root) for example in examples]
    wrong = [log_softmax(8.0 * np.roll(example.is_root, 1)) for example in examples]
    silent = [np.full(6, -np.log(6.0))] * 20
    network = [
        *roots[:16],
        *wrong[16:],
    ]  # right four times in five; the trees are right if they know the kind
    seen, unknown = (Judged(examples, judged(network, trees, silent)) for trees in (roots, wrong))
    careless, careful = choose_pool(seen)[0], choose_pool(seen, unknown)[0]
    assert careful.forest < careless.forest

    def summed(pool: Pool) -> float:
        return seen.rate(pool).ac1 + unknown.rate(pool).ac1

    assert summed(careless) < summed(Pool()) <= summed(careful)


def test_trees_say_less_of_a_fault_that_looks_like_none_they_know() -> None:
    network, trees = log_softmax(np.arange(6.0)), log_softmax(-2.0 * np.arange(6.0))
    pool = Pool(forest=1.0, known_from=0.3)
    said = [pooled(Opinions(network, trees, trees, network, known), pool) for known in (0.1, 0.5, 0.9)]
    assert [int(np.argmax(each)) for each in said] == [5, 0, 0]
    assert np.array_equal(said[1], said[2])
