"""Laws of the training loop: interrupted, distributed, split or fine-tuned, it ends as it should."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import SettingsError
from data.incident import Incident
from data.simulator.batch.generate import SimulationConfig, simulate
from gnn.network.batch import Batch, Example, collate, examples_of, group_of
from gnn.network.model import ModelConfig, RootCauseNet
from gnn.training.finetuning import finetune
from gnn.training.losses import Counts, counts_of, total_loss
from gnn.training.resume import ResumeError
from gnn.training.train import Epoch, TrainConfig, rate, train
from gnn.training.training_job import is_dev
from gnn.training.workers import Workers, device_name, pick_device, pick_precision

# Dropout is on, so random state must be restored, too.
SHAPE = ModelConfig(convolution="sage", hidden=16, layers=1, dropout=0.2)
CONFIG = TrainConfig(model=SHAPE, epochs=4, batch_graphs=16, device="cpu")


@pytest.fixture(scope="module")
def worlds() -> list[Incident]:
    return list(simulate(96, seed=11, config=SimulationConfig(most_services=8)))


@pytest.fixture(scope="module")
def examples(worlds: list[Incident]) -> list[Example]:
    return list(examples_of(worlds))


def same(one: RootCauseNet, other: RootCauseNet) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def misled(examples: list[Example]) -> list[Example]:
    return [example._replace(is_root=np.roll(example.is_root, 1)) for example in examples]


class Stop(Exception):
    pass


def interrupted(examples: list[Example], dev: list[Example], state: Path, after: int) -> None:
    def stop(epoch: Epoch) -> None:
        if epoch.number == after:
            raise Stop

    with pytest.raises(Stop):
        train(CONFIG, examples, dev, on_epoch=stop, state=state)


@pytest.mark.parametrize("after", [1, 4])
def test_an_interrupted_training_ends_with_the_weights_of_one_that_never_was(
    after: int, tmp_path: Path, examples: list[Example]
) -> None:
    learnt, dev = examples[:60], examples[60:]
    whole: list[Epoch] = []
    expected = train(CONFIG, learnt, dev, on_epoch=whole.append)
    interrupted(learnt, dev, tmp_path / "state", after)
    rest: list[Epoch] = []
    went_on = train(CONFIG, learnt, dev, on_epoch=rest.append, state=tmp_path / "state")
    assert rest == whole[after:]
    assert same(went_on, expected)


def test_going_on_with_another_training_is_refused_and_says_why(
    tmp_path: Path, examples: list[Example]
) -> None:
    state = tmp_path / "state"
    interrupted(examples[:20], [], state, after=1)
    faster = CONFIG.model_copy(update={"learning_rate": 0.01})
    with pytest.raises(ResumeError, match=r"learning_rate 0\.002, not 0\.01"):
        train(faster, examples[:20], state=state)
    with pytest.raises(ResumeError, match="other data"):
        train(CONFIG, misled(examples[:20]), state=state)
    with pytest.raises(ResumeError, match="other data"):
        train(CONFIG, examples[:20], examples[20:30], state=state)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(ResumeError, match="start again"):
        train(CONFIG, examples[:20], state=state)


def test_patience_ends_a_training_that_only_gets_worse(examples: list[Example]) -> None:
    start = train(CONFIG, examples[:60])
    config = CONFIG.model_copy(update={"epochs": 30, "patience": 3, "learning_rate": 0.02})
    epochs: list[Epoch] = []
    dev = examples[60:]
    net = train(config, misled(examples[:60]), dev, start, epochs.append)
    assert len(epochs) < 30
    assert rate(net, dev).ac1 >= rate(start, dev).ac1


@pytest.mark.parametrize("size", [2, 3])
def test_the_parts_of_a_batch_have_the_gradient_of_the_whole(size: int, examples: list[Example]) -> None:
    healthy = [example._replace(is_root=np.zeros_like(example.is_root)) for example in examples[:2]]
    chosen = [*examples[2:9], *healthy]
    families = tuple(sorted({example.fault for example in examples[2:5]}))
    torch.manual_seed(0)
    net = RootCauseNet(SHAPE.model_copy(update={"families": families, "dropout": 0.0}))
    counts = counts_of(chosen, families)
    assert counts.rooted < counts.graphs == 9 and counts.named

    def gradient(parts: list[list[Example]], of: Counts) -> torch.Tensor:
        net.zero_grad()
        for part in parts:
            batch: Batch = collate(part, families)
            scores = net(batch.x, batch.mode, batch.edge_index, batch.edge_attr, batch.graph_of, batch.graphs)
            total_loss(scores, batch, of).backward()
        return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    shares = [list(Workers(rank, size).share(chosen)) for rank in range(size)]
    whole = gradient([chosen], counts)
    assert whole.abs().max() > 0.01
    assert torch.allclose(gradient(shares, counts), whole, atol=1e-6)


def test_half_precision_learns_almost_the_same(examples: list[Example]) -> None:
    losses: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for precision, seen in losses.items():
        config = CONFIG.model_copy(update={"precision": precision, "epochs": 2})
        train(config, examples[:40], on_epoch=lambda epoch, seen=seen: seen.append(epoch.loss))
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
    assert losses["bf16"] != losses["fp32"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_what_only_cuda_can_do_is_refused_without_it() -> None:
    assert pick_device("auto").type == "cpu"
    assert pick_precision("auto", torch.device("cpu")) == torch.float32
    with pytest.raises(SettingsError, match="--device cuda"):
        pick_device("cuda")
    with pytest.raises(SettingsError, match="--precision fp16"):
        pick_precision("fp16", torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_card_is_called_by_its_name() -> None:
    assert device_name(pick_device("cuda")) == f"cuda: {torch.cuda.get_device_name()}"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_learns_almost_the_same(examples: list[Example]) -> None:
    losses: dict[str, list[float]] = {"cpu": [], "cuda": []}
    for device, seen in losses.items():
        shape = SHAPE.model_copy(update={"dropout": 0.0})
        config = CONFIG.model_copy(update={"device": device, "model": shape})
        train(config, examples[:40], on_epoch=lambda epoch, seen=seen: seen.append(epoch.loss))
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.05)


def test_worlds_on_one_topology_stay_on_one_side_of_the_split() -> None:
    sides = defaultdict(set)
    plain = SimulationConfig(most_services=8, client_views=0.0, alerts=0.0)
    for incident in simulate(400, seed=3, config=plain):
        sides[str(incident.call_graph)].add(is_dev(group_of(incident.incident_id)))
    assert len(sides) < 200
    assert {len(side) for side in sides.values()} == {1}
    assert {next(iter(side)) for side in sides.values()} == {True, False}
    assert group_of("easy/7@0") == group_of("easy/7@3")


def test_adapting_holds_every_label_aside_and_never_ranks_them_worse(examples: list[Example]) -> None:
    start = train(CONFIG, examples[:60])
    rooted = [example for example in examples[60:] if example.has_root][:7]
    few = [example._replace(group=str(number)) for number, example in enumerate(rooted)]
    for labels in (few, misled(few), few[:2]):
        adapted = finetune(CONFIG, labels, start)
        assert {id(example) for example in adapted.unseen} == {id(example) for example in labels}
        assert adapted.before.ac1 == pytest.approx(rate(start, labels).ac1)
        assert adapted.after.ac1 >= adapted.before.ac1
        assert same(adapted.net, start) == (adapted.step == 0.0)


def test_one_label_is_too_few_to_move(examples: list[Example]) -> None:
    start = train(CONFIG, examples[:20])
    adapted = finetune(CONFIG, examples[20:21], start)
    assert same(adapted.net, start)
    assert adapted.step == 0.0 and adapted.unseen == []
