"""Laws of what one system's own labels teach: heard only where it helps, and silent elsewhere."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.incident import AlertEvent, Incident, Series
from gnn.batch import Example, examples_of
from gnn.boosting import boost
from gnn.checkpoint import read_card
from gnn.features import featurize
from gnn.fit import FitJob, fit
from gnn.forest import grow
from gnn.graph_ranker import load_ranker
from gnn.model import ModelConfig
from gnn.own_system import Labels, choose_pool
from gnn.specialist import (
    FILE,
    Floats,
    Opinions,
    Pool,
    Specialist,
    SpecialistError,
    grow_specialist,
    load_specialist,
    log_softmax,
    pooled,
    save_specialist,
)
from gnn.train import TrainConfig
from gnn.vocabulary import Vocabulary

SERVICES = tuple("abcdef")
CONFIG = TrainConfig(model=ModelConfig(hidden=8, layers=1), epochs=2, device="cpu")


def incident(number: int, system: str = "shop") -> Incident:
    """Everybody complains alike; only a name that means nothing elsewhere tells the root from the others."""
    rng = np.random.default_rng(number)
    root = SERVICES[number % len(SERVICES)]
    alerts = [
        AlertEvent(name, "log", f"noise {rng.integers(4)}", "up") for name in SERVICES for _ in range(3)
    ]
    alerts += [AlertEvent(root, "log", "lease lost", "up")]
    rng.shuffle(alerts)  # type: ignore[arg-type]
    calls = {name: tuple(SERVICES[i + 1 : i + 2]) for i, name in enumerate(SERVICES)}
    named = f"{system}-{number}"
    return Incident(
        named, SERVICES, calls, alerts=tuple(alerts), system=system, root_causes=(root,), fault="lease"
    )


@pytest.fixture(scope="module")
def history() -> list[Incident]:
    return [incident(number) for number in range(42)]


@pytest.fixture(scope="module")
def specialist(history: list[Incident]) -> Specialist:
    return grow_specialist(history, [featurize(one) for one in history], 0).heard(
        Pool(network=0.5, forest=1.0, boosted=0.5)
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, history: list[Incident]) -> Path:
    """A checkpoint that learnt `history`; tests that spoil it work on a copy."""
    folder = tmp_path_factory.mktemp("trained")
    fit(FitJob(CONFIG, folder, incidents=history))
    return folder


def labels_of(incidents: list[Incident]) -> Labels | None:
    return Labels.of(incidents, list(examples_of(incidents)), [one.incident_id for one in incidents])


def permuted(one: Incident, order: list[int]) -> Incident:
    return replace(one, services=tuple(one.services[number] for number in order))


def test_training_on_one_system_learns_its_words(trained: Path, history: list[Incident]) -> None:
    card = read_card(trained)
    assert card.pool is not None and card.pool.forest > 0 and card.pool.boosted > 0
    assert card.metrics["dev_n"] == len(history)
    ranker = load_ranker(trained)
    for number in range(100, 120):
        unseen = incident(number)
        ranking = ranker.rank(unseen)
        assert ranking.services[0] == unseen.root_causes[0]
        assert sum(candidate.probability or 0.0 for candidate in ranking.candidates) == pytest.approx(1.0)
        by_name = {candidate.service: candidate.score for candidate in ranking.candidates}
        assert [by_name[name] for name in SERVICES] == ranker.scores(unseen).tolist()


def test_a_training_without_a_specialist_leaves_none_behind(trained: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trained, tmp_path / "copy"))
    with pytest.raises(SpecialistError, match=FILE):
        (copy / FILE).rename(tmp_path / "elsewhere")
        load_ranker(copy)
    (tmp_path / "elsewhere").rename(copy / FILE)
    card, _ = fit(FitJob(CONFIG, copy, incidents=[incident(number) for number in range(5)]))
    assert card.pool is None and not (copy / FILE).exists()
    assert load_ranker(copy).rank(incident(1)).candidates


def test_without_anything_to_learn_there_is_no_specialist(tmp_path: Path, history: list[Incident]) -> None:
    rng = np.random.default_rng(0)
    guessed = [one.labelled([str(rng.choice(SERVICES))], str(rng.integers(3))) for one in history]
    silent = [replace(one, alerts=()) for one in guessed]
    card, _ = fit(FitJob(CONFIG, tmp_path, incidents=silent))
    assert card.pool is None


def test_other_systems_keep_what_the_network_says(specialist: Specialist) -> None:
    names = {name: f"other-{name}" for name in SERVICES}
    here = incident(7)
    there = replace(
        here,
        services=tuple(names.values()),
        call_graph={
            names[name]: tuple(names[callee] for callee in calls) for name, calls in here.call_graph.items()
        },
        alerts=tuple(replace(alert, service=names[alert.service]) for alert in here.alerts),
    )
    logits = np.arange(6, dtype=np.float32)
    graph = featurize(there)
    assert np.allclose(specialist.blend(logits, there, graph), log_softmax(logits))
    assert not np.allclose(specialist.blend(logits, here, featurize(here)), log_softmax(logits))


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [1, 0, 3, 2, 5, 4]])
def test_the_order_of_services_does_not_matter(specialist: Specialist, order: list[int]) -> None:
    one = incident(3)
    other = permuted(one, order)
    before, after = specialist.opinions(one, featurize(one)), specialist.opinions(other, featurize(other))
    for opinion, again in zip(before, after, strict=True):
        assert np.allclose(again, opinion[order])
        assert np.exp(opinion).sum() == pytest.approx(1.0)


def test_a_file_reads_back_as_what_was_written(tmp_path: Path, specialist: Specialist) -> None:
    save_specialist(specialist, tmp_path)
    again = load_specialist(tmp_path, specialist.pool)
    one = incident(200)
    assert np.array_equal(again.opinions(one, featurize(one)), specialist.opinions(one, featurize(one)))
    assert again.vocabulary == specialist.vocabulary


def test_a_spoilt_file_is_refused_with_the_mend(tmp_path: Path, specialist: Specialist) -> None:
    with pytest.raises(SpecialistError, match="firewatch train"):
        load_specialist(tmp_path, Pool())
    (tmp_path / FILE).write_bytes(b"not tensors")
    with pytest.raises(SpecialistError, match="firewatch train"):
        load_specialist(tmp_path, Pool())
    short = replace(specialist, vocabulary=Vocabulary((), specialist.vocabulary.services))
    astray = replace(specialist.of_service, left=specialist.of_service.left + 1)
    lone = replace(specialist, faults=np.ones(3))
    other = replace(specialist, boosted=specialist.of_service)
    for wrong in (short, replace(specialist, of_service=astray), lone, other):
        save_specialist(wrong, tmp_path)
        with pytest.raises(SpecialistError, match="firewatch train"):
            load_specialist(tmp_path, Pool())


def test_labels_that_cannot_teach_a_system_are_not_used(history: list[Incident]) -> None:
    assert labels_of(history) is not None
    assert labels_of(history[:9]) is None  # too few
    assert labels_of([one.labelled(["a"]) for one in history]) is None  # the same root every time
    assert labels_of([*history, incident(1, system="bank")]) is None  # two systems
    strangers = [replace(one, services=tuple(f"{n}{s}" for s in SERVICES)) for n, one in enumerate(history)]
    assert labels_of([one.labelled([one.services[n % 6]]) for n, one in enumerate(strangers)]) is None


def test_what_belongs_together_is_held_aside_together(history: list[Incident]) -> None:
    groups = [str(number // 3) for number in range(len(history))]
    labels = Labels.of(history, list(examples_of(history)), groups)
    assert labels is not None
    assert {(group, fold) for group, fold in zip(groups, labels.folds, strict=True)} == {
        (group, labels.folds[groups.index(group)]) for group in groups
    }


def cases(count: int) -> list[Example]:
    graph = featurize(incident(0))
    return [Example(graph, np.eye(6, dtype=np.float32)[number % 6], "", "") for number in range(count)]


def judged(network: list[Floats], forest: list[Floats], boosted: list[Floats]) -> list[Opinions]:
    return list(zip(network, forest, boosted, strict=True))


def test_trees_are_heard_as_far_as_they_know_better() -> None:
    examples = cases(60)
    rng = np.random.default_rng(0)
    right = [log_softmax(2.0 * example.is_root + rng.normal(size=6)) for example in examples]
    guess = [log_softmax(rng.normal(size=6)) for _ in examples]
    heard, _ = choose_pool(judged(guess, right, guess), examples)
    assert heard.forest > 2 * max(heard.network, heard.boosted)
    heard, _ = choose_pool(judged(guess, guess, right), examples)
    assert heard.boosted > 2 * max(heard.network, heard.forest)
    ignored, rating = choose_pool(judged(right, guess, guess), examples)
    assert ignored.network > 2 * max(ignored.forest, ignored.boosted)
    assert rating.ac1 >= np.mean(
        [example.is_root[s.argmax()] for s, example in zip(right, examples, strict=True)]
    )
    wrong = [log_softmax(-5.0 * example.is_root) for example in examples]
    assert choose_pool(judged(right, wrong, wrong), examples)[0] == Pool()


def test_a_pool_is_as_sure_as_it_is_right() -> None:
    examples = cases(600)
    rng = np.random.default_rng(0)
    pale = [log_softmax(0.3 * (2.0 * example.is_root + rng.gumbel(size=6))) for example in examples]
    nothing = [log_softmax(np.zeros(6)) for _ in examples]
    pool, rating = choose_pool(judged(nothing, pale, nothing), examples)
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
    heard, rating = choose_pool(judged(*said), examples)
    assert heard.forest > 0.0
    assert rating.ac1 == 3 / 20


def test_boosted_trees_learn_who_stands_out_not_how_loud_a_service_is() -> None:
    rng = np.random.default_rng(0)
    loudness = 10.0 * rng.random(
        (90, 1)
    )  # of an incident as a whole: half of its services are above most roots
    rows = loudness[:, :, None] + rng.normal(size=(90, 5, 3))
    root = rng.integers(0, 5, 90)
    rows[np.arange(90), root, 0] += 4.0
    relative = np.concatenate([rows, rows - rows.mean(axis=1, keepdims=True)], axis=2)
    target = np.eye(5)[root]

    def flat(some: Floats) -> Floats:
        return np.asarray(some.reshape(-1, some.shape[-1]))

    incident_of = np.repeat(np.arange(60), 5)
    trees = boost(flat(relative[:60]), target[:60].ravel(), incident_of, 1)
    found = trees.predict(flat(relative[60:]))[:, 0].reshape(30, 5).argmax(axis=1)
    assert (found == root[60:]).mean() > 0.8
    again = boost(flat(relative[:60]), target[:60].ravel(), incident_of, 1)
    assert np.array_equal(again.share, trees.share)


def test_boosted_trees_of_one_service_say_nothing() -> None:
    alone = boost(np.zeros((1, 2)), np.ones(1), np.zeros(1, dtype=np.int64), 0)
    assert np.allclose(alone.predict(np.zeros((3, 2))), 0.0)


def test_a_forest_read_as_arrays_says_what_scikit_learn_says() -> None:
    from sklearn.ensemble import ExtraTreesClassifier

    rng = np.random.default_rng(0)
    rows, classes = rng.normal(size=(80, 6)), rng.integers(0, 3, 80).astype(np.int32)
    settings = {"n_estimators": 7, "min_samples_leaf": 2, "max_features": 0.5, "bootstrap": True}
    model = ExtraTreesClassifier(**settings, random_state=3).fit(rows, classes)
    forest = grow(rows, classes, 4, 3, columns=0.5, trees=7)
    asked = rng.normal(size=(50, 6))
    assert np.allclose(forest.predict(asked)[:, :3], model.predict_proba(asked))
    assert not forest.predict(asked)[:, 3].any()


def test_names_that_are_not_known_say_nothing(history: list[Incident]) -> None:
    vocabulary = Vocabulary.of(history)
    known = incident(5)
    odd = replace(known, telemetry={"a": {"unheard": Series(np.array([np.nan, 1.0]), np.array([np.nan]))}})
    assert np.array_equal(vocabulary.rows(odd)[0], vocabulary.rows(known)[0])
    rows, whole = vocabulary.rows(Incident("bare", ("a", "z"), {}))
    assert rows.shape == (2, vocabulary.width) and whole.shape == (2 * vocabulary.width,)
    assert np.isfinite(rows).all() and not rows[:, : len(vocabulary.tokens)].any()


def test_ranking_needs_neither_torch_nor_scikit_learn(trained: Path) -> None:
    code = (
        "import sys, pathlib; from gnn.graph_ranker import load_ranker; from data.incident import Incident\n"
        f"load_ranker(pathlib.Path({str(trained)!r})).rank(Incident('x', ('a', 'b', 'c'), {{}}))\n"
        "assert not {'torch', 'sklearn', 'torch_geometric'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1], timeout=60)
