"""Training, top to bottom: examples in, the best network on the development examples out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gnn.batch import Batch, Example, collate, drop_channels
from gnn.losses import total_loss
from gnn.model import ModelConfig, RootCauseNet

Floats = npt.NDArray[np.float32]


class TrainConfig(BaseModel):
    """Everything that decides a training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelConfig = ModelConfig()
    epochs: int = Field(30, gt=0, description="passes over the examples")
    batch_graphs: int = Field(32, gt=0, description="graphs a step")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of the one-cycle schedule")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW weight decay")
    channel_dropout: float = Field(0.15, ge=0, lt=1, description="chance to hide a channel while training")
    family_weight: float = Field(0.1, ge=0, description="weight of the fault-family loss")
    incident_weight: float = Field(0.1, ge=0, description="weight of the is-it-an-incident loss")
    seed: int = Field(0, description="seed of weights, order and dropout")
    device: str = Field("auto", description="auto, cpu or cuda")


@dataclass(frozen=True)
class Epoch:
    """How training stands after one pass."""

    number: int
    loss: float
    dev_ac1: float  # NaN without development examples


def pick_device(choice: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU."""
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choice)


def train(
    config: TrainConfig,
    examples: Sequence[Example],
    dev: Sequence[Example] = (),
    init: RootCauseNet | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> RootCauseNet:
    """Trains a network; with `dev` examples the weights of the best epoch on them are returned.

    Args:
        config: the run.
        examples: what to learn from, at least one with a root.
        dev: what to select on, never trained on. With `init` the start counts too: the result is never worse.
        init: start from these weights (a copy is trained) instead of fresh ones.
        on_epoch: called after each pass.
    """
    torch.manual_seed(config.seed)
    order = np.random.default_rng(config.seed)
    dropout = torch.Generator().manual_seed(config.seed)
    device = pick_device(config.device)
    net = RootCauseNet(config.model).to(device)
    if init is not None:
        net.load_state_dict(init.state_dict())
    else:
        net.adjust_to(torch.from_numpy(np.concatenate([example.graph.x for example in examples])))
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = config.epochs * -(-len(examples) // config.batch_graphs)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)

    best_ac1, best = (dev_ac1(net, dev), _snapshot(net)) if init is not None and dev else (-1.0, None)
    for number in range(1, config.epochs + 1):
        net.train()
        total = 0.0
        shuffled = order.permutation(len(examples))
        for start in range(0, len(shuffled), config.batch_graphs):
            chosen = [examples[i] for i in shuffled[start : start + config.batch_graphs]]
            batch = collate(chosen, config.model.families)
            batch = drop_channels(batch, config.channel_dropout, dropout).to(device)
            scores = net(*_inputs(batch))
            loss = total_loss(scores, batch, config.family_weight, config.incident_weight)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        epoch = Epoch(number, total / len(examples), dev_ac1(net, dev))
        on_epoch(epoch)
        if dev and epoch.dev_ac1 >= best_ac1:
            best_ac1, best = epoch.dev_ac1, _snapshot(net)
    if best is not None:
        net.load_state_dict(best)
    return net.cpu().eval()


def dev_ac1(net: RootCauseNet, examples: Sequence[Example]) -> float:
    """AC@1 of the network on examples; NaN when none has a root."""
    hits = [
        _first_is_root(score, example.is_root > 0)
        for score, example in zip(score_examples(net, examples), examples, strict=True)
        if example.is_root.any()
    ]
    return float(np.mean(hits)) if hits else float("nan")


def _first_is_root(score: Floats, is_root: npt.NDArray[np.bool_]) -> float:
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
