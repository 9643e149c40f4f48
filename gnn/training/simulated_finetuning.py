"""Adapting a network to a system without labels: from faults laid over its healthy past."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.channels import ChannelMap
from data.incident import Incident
from data.simulator.batch.generate import simulate
from data.simulator.batch.healthy import HealthyWindow
from data.simulator.batch.overlay import overlay
from gnn.network.batch import Example
from gnn.network.model import RootCauseNet
from gnn.training.finetuning import STEPS, between
from gnn.training.progress import OnStage, Steps, ignore_stage
from gnn.training.train import Epoch, Rating, TrainConfig, rate, train
from gnn.training.workers import ALONE, Workers

WORLDS = 1000  # incidents of the system
_OTHERS = 3  # times as many of other worlds: with fewer of them those are forgotten
_UNKNOWN = 1_000_000  # added to the seed of the others: small ones are what the start most likely learnt from
# Few and gentle passes: the start knows how faults travel, and training in simulation for long does not pay.
SIMULATED_FINETUNING: dict[str, Any] = {"epochs": 4, "batch_graphs": 32, "learning_rate": 3e-4}


class SimulatedFinetuning(NamedTuple):
    """A network fine-tuned to a system's healthy noise, and how it was chosen."""

    net: RootCauseNet
    step: float  # 0: the start was kept; 1: all the way to the trained network
    before: Rating  # of the start on the system's own incidents that were held out
    after: Rating  # its AC@1 is never below that of the start, nor are other worlds more of a surprise


def worlds_of(
    windows: Sequence[HealthyWindow], n: int, seed: int, channel_map: ChannelMap | None = None
) -> tuple[Iterator[Incident], Iterator[Incident]]:
    """`n` simulated incidents of a system from its healthy windows, and enough of other worlds."""
    return overlay(windows, n, seed, channel_map), simulate(_OTHERS * n, _UNKNOWN + seed)


def finetune_on_simulation(
    config: TrainConfig,
    own: Sequence[Example],
    others: Sequence[Example],
    own_aside: Sequence[Example],
    others_aside: Sequence[Example],
    init: RootCauseNet,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    workers: Workers = ALONE,
    state: Path | None = None,
    on_stage: OnStage = ignore_stage,
) -> SimulatedFinetuning:
    """Trains `init` on both kinds of worlds and goes as far towards the result as helps on those held out.

    Of the steps that rank the system's own no worse than the start, and are no more surprised by the root
    causes of others, it is the one least surprised by the system's own. The surprise tells small losses from
    luck better than AC@1. Without a held-out root of both kinds the start is kept.

    Args:
        config: of the training.
        own: simulated incidents of the system.
        others: simulated incidents of other worlds, so that nothing is forgotten.
        own_aside: likewise, never trained on.
        others_aside: likewise.
        init: the start, left as it is.
        on_epoch: called after each pass.
        workers: the processes that share each batch.
        state: where each epoch is kept, to go on from after an interruption.
        on_stage: told how many of the steps are judged.
    """
    trained = train(config, [*own, *others], (), init, on_epoch, workers, state)
    judged = Steps("steps judged", len(STEPS), on_stage)
    nets: list[RootCauseNet] = []
    ratings: list[Rating] = []
    elsewhere: list[Rating] = []
    for step in STEPS:
        nets.append(between(init, trained, step))
        ratings.append(rate(nets[-1], own_aside))
        elsewhere.append(rate(nets[-1], others_aside))
        judged.step()
    fit = [
        number
        for number in range(len(STEPS))
        if ratings[number].ac1 >= ratings[0].ac1 and elsewhere[number].loss <= elsewhere[0].loss
    ]
    best = min(fit, key=lambda number: ratings[number].loss, default=0)
    return SimulatedFinetuning(nets[best], STEPS[best], ratings[0], ratings[best])
