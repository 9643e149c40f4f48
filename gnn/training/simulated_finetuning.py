"""Fine-tunes a network to a system without labels: on faults simulated over its healthy past."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from data.channels import ChannelMap
from data.incident import Incident
from data.simulator.batch.generate import simulate
from data.simulator.batch.healthy import HealthyWindow
from data.simulator.batch.overlay import overlay
from gnn.network.batch import Example
from gnn.network.model import RootCauseNet
from gnn.training.finetuning import STEPS, between
from gnn.training.progress import Steps
from gnn.training.train import Rating, TrainConfig, Trained, rate, train
from gnn.training.training_job import TrainingError, TrainingJob

WORLDS = 1000  # incidents of the system
_OTHERS = 3  # times as many of other worlds: with fewer of them those are forgotten
_UNKNOWN = 1_000_000  # added to the seed of the others: small ones are what the start most likely learnt from
_SIMULATED = ", simulated faults"
# Few and gentle passes: the start knows how faults travel, and training in simulation for long does not pay.
SIMULATED_FINETUNING: dict[str, Any] = {"epochs": 4, "batch_graphs": 32, "learning_rate": 3e-4}


def worlds_of(
    windows: Sequence[HealthyWindow], n: int, seed: int, channel_map: ChannelMap | None = None
) -> tuple[Iterator[Incident], Iterator[Incident]]:
    """`n` simulated incidents of a system from its healthy windows, and enough of other worlds."""
    return overlay(windows, n, seed, channel_map), simulate(_OTHERS * n, _UNKNOWN + seed)


def named_as_simulated(incidents: Iterable[Incident]) -> Iterator[Incident]:
    """Says in the name of their system that their faults are simulated: a card shall not call them real."""
    return (replace(one, system=(one.system or "own system") + _SIMULATED) for one in incidents)


def finetune_on_simulation(
    job: TrainingJob,
    config: TrainConfig,
    init: RootCauseNet,
    learnt: Sequence[Example],
    held_out: Sequence[Example],
) -> Trained:
    """Trains `init` on both kinds of worlds and goes as far towards the result as helps on those held out.

    Of the steps that rank the system's own no worse than the start, and are no more surprised by the root
    causes of others, it is the one least surprised by the system's own. The surprise tells small losses from
    luck better than AC@1. Without a held-out root of both kinds the start is kept.

    Args:
        job: what is asked for.
        config: of the training.
        init: the start, left as it is.
        learnt: simulated incidents of the system, and of other worlds, so that nothing is forgotten.
        held_out: likewise, never trained on.

    Raises:
        TrainingError: no simulated fault of the system has a root cause.
    """
    own, others = _by_origin(learnt)
    if not any(example.has_root for example in own):
        raise TrainingError(
            "no service in the healthy windows receives requests: a fault would not show anywhere"
        )
    own_aside, others_aside = _by_origin(held_out)
    trained = train(config, [*own, *others], (), init, job.on_epoch, job.workers, job.state)
    judged = Steps("steps judged", len(STEPS), job.on_stage)
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
    # Simulated faults say little of how sure to be of real ones: nothing is left to fit temperatures on.
    return Trained(nets[best], [], [], own_aside, ratings[best], ratings[0], STEPS[best])


def _by_origin(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """The system's own, with simulated faults laid over its past, and those of other worlds."""
    own: list[Example] = []
    others: list[Example] = []
    for example in examples:
        (own if example.source.endswith(_SIMULATED) else others).append(example)
    return own, others
