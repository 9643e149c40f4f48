"""Laws of what is learnt about one system: used only where it helps, without effect elsewhere."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from data.incident import AlertEvent, Incident, Series
from gnn.checkpoint import CheckpointError, read_card
from gnn.features.featurize import featurize
from gnn.graph_ranker import load_ranker
from gnn.network.batch import Example, examples_of
from gnn.network.model import ModelConfig
from gnn.per_system.alert_frequencies import FILE as ALERT_FREQUENCIES
from gnn.per_system.alert_frequencies import AlertFrequencies
from gnn.per_system.system_ensemble import (
    Pool,
    SystemEnsemble,
    load_ensemble,
    log_softmax,
    save_ensemble,
)
from gnn.per_system.trees import FILE, Trees, TreesError, grow_trees, load_trees, save_trees
from gnn.per_system.vocabulary import Vocabulary
from gnn.training.cross_fitting import is_one_system
from gnn.training.folds import folds_of, splits
from gnn.training.pipeline import train_checkpoint
from gnn.training.train import TrainConfig
from gnn.training.training_job import TrainingJob

SERVICES = tuple("abcdef")
CONFIG = TrainConfig(model=ModelConfig(hidden=8, layers=1), epochs=2, device="cpu")


def incident(number: int, system: str = "shop") -> Incident:
    """All services have the same alerts; the root cause has one more, unknown in other systems."""
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
def trees(history: list[Incident]) -> Trees:
    return grow_trees(history, [featurize(one) for one in history], AlertFrequencies.of(history), 0)


@pytest.fixture(scope="module")
def ensemble(history: list[Incident], trees: Trees) -> SystemEnsemble:
    return SystemEnsemble(
        AlertFrequencies.of(history), trees, Pool(network=0.5, forest=1.0, boosted=0.5, frequencies=0.25)
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, history: list[Incident]) -> Path:
    """A checkpoint trained on `history`; tests that damage it work on a copy."""
    folder = tmp_path_factory.mktemp("trained")
    train_checkpoint(TrainingJob(CONFIG, folder, incidents=history))
    return folder


def labels_of(incidents: list[Incident]) -> list[Example]:
    examples = zip(examples_of(incidents), incidents, strict=True)
    return [example._replace(incident=incident) for example, incident in examples]


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


def test_beside_a_start_trees_are_grown_and_its_network_stays(
    trained: Path, tmp_path: Path, history: list[Incident]
) -> None:
    card, _ = train_checkpoint(TrainingJob(CONFIG, tmp_path, incidents=history[::2], init=trained))
    assert card.pool is not None and card.pool.uses_trees
    assert card.metrics["dev_ac@1"] >= card.metrics["dev_ac@1_before"] and "adapted" not in card.metrics
    now, before = (load_file(folder / "model.safetensors") for folder in (tmp_path, trained))
    assert all(np.array_equal(weights, before[name]) for name, weights in now.items())


def test_a_training_without_a_ensemble_leaves_none_behind(trained: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trained, tmp_path / "copy"))
    with pytest.raises(CheckpointError, match=FILE):
        (copy / FILE).rename(tmp_path / "elsewhere")
        load_ranker(copy)
    (tmp_path / "elsewhere").rename(copy / FILE)
    card, _ = train_checkpoint(TrainingJob(CONFIG, copy, incidents=[incident(number) for number in range(5)]))
    assert card.pool is None and not (copy / FILE).exists()
    assert load_ranker(copy).rank(incident(1)).candidates


def test_without_anything_to_learn_there_is_no_ensemble(tmp_path: Path, history: list[Incident]) -> None:
    rng = np.random.default_rng(0)
    guessed = [one.labelled([str(rng.choice(SERVICES))], str(rng.integers(3))) for one in history]
    silent = [replace(one, alerts=()) for one in guessed]
    card, _ = train_checkpoint(TrainingJob(CONFIG, tmp_path, incidents=silent))
    assert card.pool is None


def test_other_systems_keep_what_the_network_says(ensemble: SystemEnsemble) -> None:
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
    assert np.allclose(ensemble.blend(logits, there, graph), log_softmax(logits))
    assert not np.allclose(ensemble.blend(logits, here, featurize(here)), log_softmax(logits))


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [1, 0, 3, 2, 5, 4]])
def test_the_order_of_services_does_not_matter(ensemble: SystemEnsemble, order: list[int]) -> None:
    one = incident(3)
    other = permuted(one, order)
    logits = np.arange(6.0)
    before = ensemble.opinions(logits, one, featurize(one))
    after = ensemble.opinions(logits[order], other, featurize(other))
    for opinion, again in zip(before[:-1], after[:-1], strict=True):
        assert np.allclose(again, opinion[order])
        assert np.exp(opinion).sum() == pytest.approx(1.0)
    assert after.known == pytest.approx(before.known)


def test_a_file_reads_back_as_what_was_written(tmp_path: Path, ensemble: SystemEnsemble) -> None:
    save_ensemble(ensemble, tmp_path)
    again = load_ensemble(tmp_path, ensemble.pool)
    one = incident(200)
    said = [each.opinions(np.zeros(6), one, featurize(one)) for each in (again, ensemble)]
    assert np.array_equal(*(each[:-1] for each in said)) and said[0].known == said[1].known
    assert again.trees is not None and ensemble.trees is not None
    assert again.trees.vocabulary == ensemble.trees.vocabulary
    assert again.frequencies == ensemble.frequencies
    save_ensemble(ensemble.with_pool(Pool(network=0.75, frequencies=1.0)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [ALERT_FREQUENCIES]
    save_ensemble(None, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_the_same_trees_are_the_same_bytes(tmp_path: Path, trees: Trees) -> None:
    """safetensors orders names differently each time."""
    written = set()
    for _ in range(10):
        save_trees(trees, tmp_path)
        written.add((tmp_path / FILE).read_bytes())
    assert len(written) == 1


def test_a_spoilt_file_is_refused_with_the_mend(tmp_path: Path, trees: Trees) -> None:
    with pytest.raises(TreesError, match="firewatch train"):
        load_trees(tmp_path)
    (tmp_path / FILE).write_bytes(b"not tensors")
    with pytest.raises(TreesError, match="firewatch train"):
        load_trees(tmp_path)
    boosted, nobody = trees.boosted, np.full_like(trees.boosted.value, np.nan)
    spoilt = (
        replace(trees, vocabulary=Vocabulary((), trees.vocabulary.services)),
        replace(trees, of_service=replace(boosted, left=boosted.left + 1)),
        replace(trees, faults=np.ones(3)),
        replace(trees, faults=np.ones(())),
        replace(trees, usual=np.full_like(trees.usual, np.nan)),
        replace(trees, boosted=trees.of_service),
        replace(trees, boosted=replace(boosted, value=nobody)),
        replace(trees, boosted=replace(boosted, column=boosted.column.astype(np.float32))),
    )
    for wrong in spoilt:
        save_trees(wrong, tmp_path)
        with pytest.raises(TreesError, match="firewatch train"):
            load_trees(tmp_path)


def test_a_file_of_another_format_is_refused_and_says_so(tmp_path: Path, trees: Trees) -> None:
    save_trees(trees, tmp_path)
    with safe_open(tmp_path / FILE, framework="numpy") as file:
        metadata = file.metadata()
    arrays = load_file(tmp_path / FILE)
    older = {name: text for name, text in metadata.items() if name != "format"}
    fewer = {name: array for name, array in arrays.items() if name != "boosted.value"}
    for kept, said, reason in (
        (arrays, older, "format 1, this code has"),
        (fewer, metadata, "'boosted.value' is missing"),
        (arrays, {**metadata, "tokens": "5"}, "int"),
    ):
        save_file(kept, tmp_path / FILE, said)
        with pytest.raises(TreesError, match=reason) as refused:
            load_trees(tmp_path)
        assert "firewatch train" in str(refused.value)


def test_labels_that_cannot_teach_a_system_are_not_used(history: list[Incident]) -> None:
    assert is_one_system(labels_of(history))
    assert not is_one_system(labels_of(history[:9]))  # too few
    assert not is_one_system(labels_of([one.labelled(["a"]) for one in history]))  # the same root every time
    assert not is_one_system(labels_of([*history, incident(1, system="bank")]))
    assert not is_one_system([*labels_of(history), *examples_of([incident(1)])])  # not of its own labels
    strangers = [replace(one, services=tuple(f"{n}{s}" for s in SERVICES)) for n, one in enumerate(history)]
    labelled = [one.labelled([one.services[n % 6]]) for n, one in enumerate(strangers)]
    assert not is_one_system(labels_of(labelled))


def test_what_belongs_together_is_held_aside_together(history: list[Incident]) -> None:
    labels = [example._replace(group=str(n // 3)) for n, example in enumerate(labels_of(history))]
    parts = list(splits(labels, folds_of(labels)))
    assert len(parts) == 5
    for held_out, learnt in parts:
        assert not {example.group for example in held_out} & {example.group for example in learnt}
        assert len(held_out) + len(learnt) == len(labels)


def test_boosted_trees_alone_are_heard_too(ensemble: SystemEnsemble) -> None:
    one = incident(5)
    graph = featurize(one)
    logits = np.zeros(6)
    alone = ensemble.with_pool(Pool(network=0.5, boosted=0.5)).blend(logits, one, graph)
    assert alone.argmax() == SERVICES.index(one.root_causes[0])
    assert np.allclose(ensemble.with_pool(Pool()).blend(logits, one, graph), log_softmax(logits))


def test_trees_are_told_what_stands_out() -> None:
    """Alert counts differ between incidents; the root cause always has the most."""
    rng = np.random.default_rng(0)

    def noisy(number: int) -> Incident:
        level = int(rng.integers(5, 200))
        root = SERVICES[number % len(SERVICES)]
        alerts = [
            AlertEvent(name, "log", "slow", "up")
            for name in SERVICES
            for _ in range(level + (level // 2 if name == root else 0))
        ]
        rng.shuffle(alerts)  # type: ignore[arg-type]
        calls: dict[str, tuple[str, ...]] = dict.fromkeys(SERVICES, ())
        return Incident(f"n-{number}", SERVICES, calls, alerts=tuple(alerts), root_causes=(root,), fault="x")

    seen = [noisy(number) for number in range(60)]
    blind = [featurize(one)._replace(x=np.zeros_like(featurize(one).x)) for one in seen]
    frequencies = AlertFrequencies.of(seen)
    grown = grow_trees(seen, blind, frequencies, 0)
    asked = [noisy(number) for number in range(60)]
    found = [grown.scores(one, blind[0], frequencies.surprises(one)).boosted.argmax() for one in asked]
    assert np.mean([SERVICES[i] in one.root_causes for i, one in zip(found, asked, strict=True)]) > 0.9


def test_two_roots_share_what_boosted_trees_give(history: list[Incident]) -> None:
    pairs = [one.labelled([*one.root_causes, SERVICES[(n + 1) % 6]]) for n, one in enumerate(history)]
    second = [
        replace(one, alerts=(*one.alerts, AlertEvent(one.root_causes[1], "log", "lease lost", "up")))
        for one in pairs
    ]
    frequencies = AlertFrequencies.of(second)
    grown = grow_trees(second, [featurize(one) for one in second], frequencies, 0)
    for one in second[:6]:
        chances = np.exp(log_softmax(grown.scores(one, featurize(one), frequencies.surprises(one)).boosted))
        for service in one.root_causes:
            assert chances[SERVICES.index(service)] == pytest.approx(0.5, abs=0.15)


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
