"""Training, top to bottom: examples in, the best network on the development examples out."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gnn.network.batch import Batch, Example, collate, drop_channels
from gnn.network.heads import Scores
from gnn.network.model import ModelConfig, RootCauseNet
from gnn.network.softmax import surprise
from gnn.training.losses import counts_of, total_loss
from gnn.training.resume import Best, StateFile, training_fingerprint
from gnn.training.workers import ALONE, Precision, Workers, pick_device, pick_precision

Floats = npt.NDArray[np.float32]


class TrainConfig(BaseModel):
    """Everything that decides a training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelConfig = ModelConfig()
    epochs: int = Field(30, gt=0, description="passes over the examples")
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better one; 0: never")
    batch_graphs: int = Field(32, gt=0, description="graphs a step")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of the one-cycle schedule")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW weight decay")
    channel_dropout: float = Field(0.15, ge=0, lt=1, description="chance to hide a channel while training")
    seed: int = Field(0, description="seed of weights, order and dropout")
    device: str = Field("auto", description="auto, cpu or cuda")
    precision: Precision = Field("auto", description="of the forward pass: auto, fp32, bf16 or fp16")


@dataclass(frozen=True)
class Epoch:
    """The state of a training after one epoch."""

    number: int
    loss: float
    dev_ac1: float  # NaN without development examples
    dev_loss: float  # mean surprise at the root cause, in nats; NaN without development examples
    learning_rate: float
    incidents: int  # that were learnt from, by all processes together
    seconds: float = field(compare=False)  # of learning; what is held out is scored after that


def train(
    config: TrainConfig,
    examples: Sequence[Example],
    dev: Sequence[Example] = (),
    init: RootCauseNet | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    workers: Workers = ALONE,
    state: Path | None = None,
) -> RootCauseNet:
    """Trains a network; with `dev` examples the weights of the best epoch on them are returned.

    All that is random in an epoch comes from the seed and the epoch's number: a run that goes on where it was
    interrupted ends with the weights of one that never was.

    Args:
        config: the run.
        examples: what to learn from, at least one with a root.
        dev: what to select on, never trained on. With `init` the start counts too: the result is never worse.
        init: start from these weights (a copy is trained) instead of fresh ones.
        on_epoch: called after each pass.
        workers: the processes that share each batch; all are given the same arguments.
        state: where each epoch is kept, to go on from after an interruption; the caller removes it.

    Raises:
        ResumeError: `state` is of another run.
        SettingsError: this machine lacks the device or the precision.
    """
    device = pick_device(config.device)
    precision = pick_precision(config.precision, device)
    dev = [example for example in dev if example.is_root.any()]
    torch.manual_seed(config.seed)
    net = RootCauseNet(config.model).to(device)
    if init is not None:
        net.load_state_dict(init.state_dict())
    else:
        net.adjust_to(torch.from_numpy(np.concatenate([example.graph.x for example in examples])))
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = config.epochs * -(-len(examples) // config.batch_graphs)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    shared_net = workers.wrap(net)

    best = Best()
    if init is not None and dev:
        best = Best(rate(net, dev, workers).ac1, weights=_snapshot(net))
    finished = 0
    kept = None
    if state is not None:
        shape = config.model_dump(mode="json", exclude={"device"})
        kept = StateFile(state, shape, training_fingerprint(examples, dev, init))
        finished, best = kept.restore(net, optimizer, schedule, scaler, best)

    for number in range(finished + 1, config.epochs + 1):
        if config.patience and number > best.since + config.patience and dev:
            break
        order = np.random.default_rng(_seed(config.seed, number))
        torch.manual_seed(_seed(config.seed, number, workers.rank))
        dropout = torch.Generator().manual_seed(_seed(config.seed, number, workers.rank))
        net.train()
        began = time.perf_counter()
        total = 0.0
        shuffled = order.permutation(len(examples))
        for first in range(0, len(shuffled), config.batch_graphs):
            chosen = [examples[i] for i in shuffled[first : first + config.batch_graphs]]
            mine = workers.share(chosen)
            # A process without a share of the last batch takes part with weight 0: the others wait for it.
            weight = workers.size if mine else 0
            batch = collate(mine or chosen[:1], config.model.families)
            batch = drop_channels(batch, config.channel_dropout, dropout).to(device)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                said = shared_net(*_inputs(batch))
            scores = Scores[Tensor](*(score.float() for score in said))
            counts = counts_of(chosen, config.model.families)
            loss = total_loss(scores, batch, counts)
            optimizer.zero_grad()
            scaler.scale(weight * loss).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            total += loss.item() * len(chosen) if mine else 0.0
        (total,) = workers.total(total, device=device)
        learning_s = time.perf_counter() - began
        found = rate(net, dev, workers)
        if dev and found.ac1 >= best.ac1:  # of equal ones the latest, which has seen more
            since = number if found.ac1 > best.ac1 else best.since
            best = Best(found.ac1, since, _snapshot(net))
        if kept is not None and workers.is_main:
            kept.save(number, net, optimizer, schedule, scaler, best)
        learning_rate = float(schedule.get_last_lr()[0])
        mean = total / len(examples)
        on_epoch(Epoch(number, mean, found.ac1, found.loss, learning_rate, len(examples), learning_s))
    if best.weights:
        net.load_state_dict(best.weights)
    return net.cpu().eval()


def _seed(*of: int) -> int:
    return random.Random(str(of)).getrandbits(32)


class Rating(NamedTuple):
    """How well a network ranks examples with a root; NaN without any."""

    ac1: float
    loss: float  # mean surprise at the root causes, in nats


class Trained(NamedTuple):
    """A trained network, and how it ranks examples that it had not seen."""

    net: RootCauseNet
    unseen: Sequence[Example]  # that it, or one made in the same way, was not shown
    scores: Sequence[Floats]  # (S,) of each
    judged: Sequence[Example]  # what the ratings are of
    after: Rating
    before: Rating = Rating(math.nan, math.nan)  # of the start
    step: float | None = None  # 0: the start was kept; 1: all the way; None: nothing was chosen


def rate(net: RootCauseNet, examples: Sequence[Example], workers: Workers = ALONE) -> Rating:
    """AC@1 and loss of the network on examples; each process scores its share, all get one answer."""
    rooted = [example for example in examples if example.is_root.any()]
    mine = workers.share(rooted)
    found = rate_scores(score_examples(net, mine), mine)
    sums = (found.ac1 * len(mine), found.loss * len(mine)) if mine else (0.0, 0.0)
    hits, loss = workers.total(*sums, device=next(net.parameters()).device)
    return Rating(hits / len(rooted), loss / len(rooted)) if rooted else Rating(math.nan, math.nan)


def rate_scores(scores: Sequence[npt.NDArray[np.floating]], examples: Sequence[Example]) -> Rating:
    """AC@1 and loss of root scores, an (S,) array an example; every example has a root."""
    if not examples:
        return Rating(math.nan, math.nan)
    pairs = [(score, example.is_root > 0) for score, example in zip(scores, examples, strict=True)]
    hits = [_first_is_root(score, is_root) for score, is_root in pairs]
    return Rating(
        float(np.mean(hits)), float(np.mean([surprise(score, is_root) for score, is_root in pairs]))
    )


def _first_is_root(score: npt.NDArray[np.floating], is_root: npt.NDArray[np.bool_]) -> float:
    """The chance, over the order of ties, that the first service is a root cause."""
    first = score == score.max()
    return float((first & is_root).sum() / first.sum())


@torch.no_grad()
def score_examples(net: RootCauseNet, examples: Sequence[Example], batch_graphs: int = 256) -> list[Floats]:
    """The root scores of each example: a list of (S,) arrays."""
    net.eval()
    device = next(net.parameters()).device
    scores: list[Floats] = []
    for start in range(0, len(examples), batch_graphs):
        chosen = examples[start : start + batch_graphs]
        root = net(*_inputs(collate(chosen).to(device))).root.cpu().numpy()
        sizes = [len(example.is_root) for example in chosen]
        scores += np.split(root, np.cumsum(sizes)[:-1])
    return scores


def _inputs(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, int]:
    return batch.x, batch.mode, batch.edge_index, batch.edge_attr, batch.graph_of, batch.graphs


def _snapshot(net: RootCauseNet) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}
