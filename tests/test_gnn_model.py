"""Laws of the networks and their training, on worlds small enough to learn in seconds."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from data.episodes import Episode, Labels
from data.incident import Incident, Series
from data.observation import Action, Observation, Service, Task
from data.simulator.batch.generate import SimulationConfig, simulate
from gnn.card import Card
from gnn.checkpoint import CARD, EXPORT, WEIGHTS, CheckpointError, load, read_card
from gnn.explain.verdict import is_measured
from gnn.features.featurize import CHANNEL_BLOCK, DEGREE_FEATURES, GRAPH_FEATURES, MODES, N_ALERTS, featurize
from gnn.graph_ranker import load_ranker
from gnn.network.batch import Example, collate, drop_channels, examples_of, group_of
from gnn.network.model import Convolution, ModelConfig, RootCauseNet
from gnn.network.softmax import tempered
from gnn.training.calibration import calibrate
from gnn.training.losses import listwise_loss, log_softmax_per_graph
from gnn.training.pipeline import train_checkpoint
from gnn.training.train import TrainConfig, rate, score_examples, train
from gnn.training.training_job import TrainingError, TrainingJob, windows_of

CONVOLUTIONS: tuple[Convolution, ...] = ("edge", "sage", "none", "degree")
SMALL = SimulationConfig(most_services=8)


@pytest.fixture(scope="module")
def worlds() -> list[Incident]:
    return list(simulate(160, seed=11, config=SMALL))


@pytest.fixture(scope="module")
def examples(worlds: list[Incident]) -> list[Example]:
    return list(examples_of(worlds))


def tiny(convolution: Convolution = "edge", **fields: object) -> TrainConfig:
    shape = ModelConfig(convolution=convolution, hidden=16, layers=2, dropout=0.0)
    return TrainConfig(model=shape, **{"epochs": 3, **fields})


def net_of(convolution: Convolution, seed: int = 0) -> RootCauseNet:
    torch.manual_seed(seed)
    return RootCauseNet(ModelConfig(convolution=convolution, hidden=16, layers=2)).eval()


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_permuting_the_services_permutes_the_scores(convolution: Convolution, worlds: list[Incident]) -> None:
    net, rng = net_of(convolution), np.random.default_rng(0)
    for incident in worlds[:20]:
        order = rng.permutation(len(incident.services))
        shuffled = Incident(**{**vars(incident), "services": tuple(incident.services[i] for i in order)})
        one, other = score_examples(net, list(examples_of([incident.labelled(()), shuffled.labelled(())])))
        assert np.allclose(other, one[order], atol=1e-4)


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_a_batch_scores_each_graph_as_it_would_alone(
    convolution: Convolution, examples: list[Example]
) -> None:
    net = net_of(convolution)
    together = score_examples(net, examples[:16])
    alone = [score_examples(net, [example])[0] for example in examples[:16]]
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(one, other, atol=1e-4)


def test_the_controls_see_what_their_names_say(examples: list[Example]) -> None:
    example = max(examples, key=lambda e: e.graph.edge_index.shape[1])
    graph = example.graph
    without_calls = graph._replace(edge_index=graph.edge_index[:, :0], edge_attr=graph.edge_attr[:0])
    blind_x = graph.x.copy()
    blind_x[:, list(GRAPH_FEATURES)] = 0.0
    degree_x = blind_x.copy()
    degree_x[:, list(DEGREE_FEATURES)] = graph.x[:, list(DEGREE_FEATURES)]
    views = {"none": blind_x, "degree": degree_x}
    for convolution in CONVOLUTIONS:
        whole = score_examples(net_of(convolution), [example])[0]
        x = views.get(convolution, blind_x)
        cut = score_examples(net_of(convolution), [example._replace(graph=without_calls._replace(x=x))])[0]
        assert np.allclose(whole, cut, atol=1e-5) == (convolution in views), convolution


def test_the_loss_is_a_probability_over_each_graph(examples: list[Example]) -> None:
    batch = collate(examples[:8])
    score = torch.randn(len(batch.x)) * 50
    p = log_softmax_per_graph(score, batch.graph_of, batch.graphs).exp()
    assert torch.allclose(torch.zeros(batch.graphs).index_add(0, batch.graph_of, p), torch.ones(batch.graphs))
    sure = torch.where(batch.is_root > 0, 50.0, 0.0)
    one_root = [e for e in examples if e.is_root.sum() == 1][:8]
    batch = collate(one_root)
    sure = torch.where(batch.is_root > 0, 50.0, 0.0)
    assert listwise_loss(sure, batch) < 1e-6 < listwise_loss(-sure, batch)


def test_hidden_channels_are_whole_and_the_rest_stays(examples: list[Example]) -> None:
    batch = collate(examples[:8])
    hidden = drop_channels(batch, 0.5, torch.Generator().manual_seed(0))
    channels, statistics = CHANNEL_BLOCK
    assert ((hidden.x == batch.x) | (hidden.x == 0)).all()
    assert (hidden.x[:, channels * statistics :] == batch.x[:, channels * statistics :]).all()
    assert (hidden.x != batch.x).any()


def test_the_same_seed_gives_the_same_weights(examples: list[Example]) -> None:
    one, other = (train(tiny(seed=4), examples[:40]).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    different = train(tiny(seed=5), examples[:40]).state_dict()
    assert any(not torch.equal(one[name], different[name]) for name in one)


def test_training_beats_fresh_weights(examples: list[Example]) -> None:
    held_out = list(examples_of(simulate(60, seed=12, config=SMALL)))
    losses: list[float] = []
    net = train(tiny(epochs=6), examples, on_epoch=lambda epoch: losses.append(epoch.loss))
    assert losses[-1] < losses[0]

    def right(one: RootCauseNet) -> float:
        scores = score_examples(one, held_out)
        hits = [e.is_root[s.argmax()] for s, e in zip(scores, held_out, strict=True) if e.is_root.any()]
        return float(np.mean(hits))

    # A single net with fresh weights may be lucky.
    fresh = [right(net_of("edge", seed)) for seed in range(8)]
    assert right(net) > float(np.mean(fresh)) + 0.1


def test_adapting_never_ends_worse_on_what_was_held_out(examples: list[Example]) -> None:
    start = train(tiny(epochs=4), examples[:100])
    dev = examples[100:130]
    misled = [e._replace(is_root=np.roll(e.is_root, 1)) for e in examples[130:150]]
    adapted = train(tiny(epochs=3, learning_rate=0.02), misled, dev, init=start)
    assert rate(adapted, dev).ac1 >= rate(start, dev).ac1


def test_temperatures_undo_overconfidence(examples: list[Example]) -> None:
    rng = np.random.default_rng(0)
    cases = [
        Example(examples[0].graph._replace(mode=k % 3), np.eye(4, dtype=np.float32)[k % 4], "", "")
        for k in range(300)
    ]
    # Twice as confident as right: the log-odds of the truth, doubled.
    scores = []
    for case in cases:
        picked = case.is_root if rng.random() < 0.7 else np.roll(case.is_root, 1)
        scores.append((2 * np.log(0.7 / 0.1) * picked).astype(np.float32))
    doubt = calibrate(scores, cases)
    temperatures = [doubt.on(score, case.graph) for score, case in zip(scores, cases, strict=True)]
    assert all(1.5 < temperature < 2.6 for temperature in temperatures)


def test_a_small_system_has_as_much_say_about_temperatures_as_a_large_one(examples: list[Example]) -> None:
    case = Example(examples[0].graph, np.eye(4, dtype=np.float32)[0], "", "large")
    sure, wrong = np.array([3, 0, 0, 0], np.float32), np.array([0, 3, 0, 0], np.float32)
    few = [case._replace(source="small")] * 2
    doubts = [calibrate([sure] * n + [wrong] * 2, [case] * n + few) for n in (40, 400)]
    one, other = (doubt.on(sure, case.graph) for doubt in doubts)
    assert one == pytest.approx(other, rel=1e-3) and one > 1.0


@pytest.mark.parametrize(("loud_is_right", "doubted"), [(True, False), (False, True)])
def test_who_raises_many_alerts_is_doubted_where_that_was_wrong(
    examples: list[Example], loud_is_right: bool, doubted: bool
) -> None:
    rng = np.random.default_rng(0)
    graph = examples[0].graph
    cases, scores = [], []
    for k in range(200):
        x, loud = graph.x[:4].copy(), k % 2 == 0
        x[:, N_ALERTS] = np.log1p(20.0 if loud else 1.0)
        right = rng.random() < (0.95 if loud == loud_is_right else 0.55)
        root = np.eye(4, dtype=np.float32)[0 if right else 1]
        cases.append(Example(graph._replace(mode=MODES.index("alerts"), x=x), root, "", "some"))
        scores.append(np.array([3, 0, 0, 0], np.float32))
    found = calibrate(scores, cases)
    assert (found.alert_doubt > 0.05) == doubted
    loudest, calm = (tempered(scores[k], cases[k].graph, found) for k in (0, 1))
    assert (loudest.max() < 0.9 * calm.max()) == doubted


def test_scores_that_hardly_differ_are_doubted_where_they_were_wrong(examples: list[Example]) -> None:
    rng = np.random.default_rng(0)
    graph = examples[0].graph._replace(mode=MODES.index("alerts"))
    far, near = (np.array([3, 0, low, low], np.float32) for low in (-3, 0))
    right = [rng.random() < (0.5 if k % 2 else 0.95) for k in range(200)]
    cases = [Example(graph, np.eye(4, dtype=np.float32)[0 if it else 1], "", "some") for it in right]
    found = calibrate([near if k % 2 else far for k in range(200)], cases)
    assert found.spread_doubt > 0.05
    assert found.on(near, graph) > 1.1 * found.on(far, graph)


def job(folder: Path, worlds: list[Incident], **fields: object) -> TrainingJob:
    return TrainingJob(tiny("sage"), folder, incidents=worlds, **fields)  # type: ignore[arg-type]


class Fitted(NamedTuple):
    folder: Path
    card: Card
    net: RootCauseNet


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, worlds: list[Incident]) -> Fitted:
    """A checkpoint; tests that damage it work on a copy."""
    folder = tmp_path_factory.mktemp("checkpoint")
    return Fitted(folder, *train_checkpoint(job(folder, worlds[:60])))


def test_a_checkpoint_ranks_as_the_network_it_was_made_from(fitted: Fitted, worlds: list[Incident]) -> None:
    ranker = load_ranker(fitted.folder)
    again, _ = load(fitted.folder)
    for incident in worlds[:40]:
        ranking = ranker.rank(incident)
        example = Example(featurize(incident), np.zeros(len(incident.services), np.float32), "", "")
        expected = score_examples(fitted.net, [example])[0]
        by_name = {candidate.service: candidate.score for candidate in ranking.candidates}
        found = np.array([by_name[name] for name in incident.services])
        known = is_measured(example.graph)  # of the others rules have their say
        assert np.allclose(found[known], expected[known], atol=1e-4)
        assert sum(candidate.probability or 0.0 for candidate in ranking.candidates) == pytest.approx(1.0)
        assert list(ranking.services) == sorted(ranking.services, key=lambda name: -by_name[name])
    kept, read = fitted.net.state_dict(), again.state_dict()
    assert all(torch.equal(kept[name], read[name]) for name in kept)
    assert fitted.card.trained_on
    assert 0.0 <= fitted.card.metrics["dev_ac@1"] <= 1.0
    assert ranker.rank(Incident("nothing", (), {})).candidates == ()


def test_the_same_job_gives_the_same_files_without_a_path_in_them(
    tmp_path: Path, fitted: Fitted, worlds: list[Incident]
) -> None:
    train_checkpoint(job(tmp_path, worlds[:60]))
    for file in (WEIGHTS, EXPORT):
        assert (tmp_path / file).read_bytes() == (fitted.folder / file).read_bytes(), file
    one, other = (json.loads((folder / CARD).read_text()) for folder in (tmp_path, fitted.folder))
    assert one == {**other, "effort": one["effort"]}
    assert str(Path(__file__).parents[1]).encode() not in (tmp_path / EXPORT).read_bytes()


def test_a_handful_of_labels_does_not_undo_the_calibration(
    tmp_path: Path, fitted: Fitted, worlds: list[Incident]
) -> None:
    card, _ = train_checkpoint(job(tmp_path, worlds[:5], init=fitted.folder))
    assert card.temperature == fitted.card.temperature
    assert card.unsure_below == fitted.card.unsure_below


def test_a_card_says_what_its_weights_learnt_from_before(
    tmp_path: Path, fitted: Fitted, worlds: list[Incident]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert fitted.card.start is None
    train_checkpoint(job(first, worlds[:3], init=fitted.folder, git="b"))
    train_checkpoint(job(second, worlds[3:7], init=first))
    card = read_card(second)
    assert sum(card.trained_on.values()) == 4
    assert card.start is not None and card.start.git == "b"
    assert sum(card.start.trained_on.values()) == 3
    before = card.start.start
    assert before is not None and before.start is None
    assert (before.git, before.trained_on) == (fitted.card.git, fitted.card.trained_on)
    assert before.training == fitted.card.training


def test_a_card_from_before_a_field_still_loads(fitted: Fitted, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(fitted.folder, tmp_path / "copy"))
    card = json.loads((copy / CARD).read_text())
    del card["start"], card["effort"]
    (copy / CARD).write_text(json.dumps(card))
    older = fitted.card.model_copy(update={"effort": None})
    assert read_card(copy) == load_ranker(copy).card == older


def test_a_checkpoint_that_does_not_fit_is_refused_with_the_mend(tmp_path: Path, fitted: Fitted) -> None:
    with pytest.raises(CheckpointError, match="firewatch train"):
        load_ranker(tmp_path / "nowhere")
    copy = Path(shutil.copytree(fitted.folder, tmp_path / "copy"))
    card = (copy / CARD).read_text()
    (copy / CARD).write_text(card.replace('"feature_version": ', '"feature_version": 9'))
    with pytest.raises(CheckpointError, match="feature version 9"):
        load_ranker(copy)
    (copy / CARD).write_text(card)
    (copy / EXPORT).write_bytes(b"not a network")
    with pytest.raises(CheckpointError, match=EXPORT):
        load_ranker(copy)
    (copy / WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=WEIGHTS):
        load(copy)


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="root cause"):
        train_checkpoint(
            job(tmp_path, [Incident("x", ("a",), {"a": []}, {"a": {"cpu": Series(np.ones(1))}})])
        )


def test_the_windows_of_an_episode_end_at_the_first_remedy() -> None:
    observation = Observation(services={"a": Service(), "b": Service()})
    actions = [
        Action(action_type=kind, target_service="a")
        for kind in ("fetch_logs", "restart_service", "fetch_logs")
    ]
    episode = Episode(
        task=Task(difficulty="easy", seed=1, max_ticks=20),
        source="embedded",
        policy="rules",
        observations=(observation,) * 4,
        actions=tuple(actions),
        feedback=("",) * 3,
        labels=Labels(root_causes=("b",), origin="environment", fault_types=("oom",)),
    )
    windows = list(windows_of([episode]))
    assert [len(window.observations) for window in windows] == [1, 2]
    assert {window.root_causes for window in windows} == {("b",)}
    assert len({group_of(window.incident_id) for window in windows}) == 1
