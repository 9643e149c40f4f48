"""`firewatch train`: learns a ranker and writes a checkpoint folder."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.cli import options as o


class Convolution(StrEnum):
    """How services hear of each other."""

    SAGE = "sage"
    GATV2 = "gatv2"
    EDGE = "edge"
    NONE = "none"
    DEGREE = "degree"


def train(
    episodes_from: o.EpisodesFrom = None,
    incidents: o.Incidents = None,
    simulate: o.Simulate = 0,
    dev_incidents: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Incidents that decide which epoch is kept; never trained on."),
    ] = None,
    labels: o.Labels = None,
    init: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Start from this checkpoint: adapt it to your system.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Own rules that give metric names a meaning.")
    ] = None,
    out: o.Out = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the examples.")] = 30,
    batch: Annotated[int, typer.Option(min=1, help="Graphs a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak of the one-cycle schedule.")] = 2e-3,
    convolution: Annotated[
        Convolution,
        typer.Option(
            help="Message passing; 'none' is the graph-free control, 'degree' adds only degrees to it."
        ),
    ] = Convolution.EDGE,
    hidden: Annotated[int, typer.Option(min=1, help="Hidden width.")] = 64,
    layers: Annotated[int, typer.Option(min=0, help="Rounds of message passing.")] = 3,
    device: o.DeviceOption = o.Device.AUTO,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Trains a ranker on stored episodes, incidents and freshly simulated worlds, in any mixture.

    [dim]Example:[/dim] firewatch train --episodes-from episodes/train --simulate 2000 --out checkpoints/mine
    """
    from agent.cli.console import note, write_json
    from agent.cli.playing import new_folder
    from agent.cli.sources import channel_map, episodes_of, incidents_of, simulated
    from agent.provenance import git_revision
    from gnn.fit import FitJob, fit
    from gnn.model import ModelConfig
    from gnn.train import Epoch, TrainConfig

    def show(epoch: Epoch) -> None:
        note(f"epoch {epoch.number}: loss {epoch.loss:.4f}, AC@1 on held-out {epoch.dev_ac1:.3f}", quiet)

    folder = out or new_folder("trained")
    job = FitJob(
        config=TrainConfig(
            model=ModelConfig(convolution=convolution.value, hidden=hidden, layers=layers),
            epochs=epochs,
            batch_graphs=batch,
            learning_rate=learning_rate,
            seed=seed,
            device=device.value,
        ),
        out=folder,
        episodes=episodes_of(episodes_from, labels),
        incidents=incidents_of(incidents),
        simulated=simulated(simulate, seed),
        dev_incidents=incidents_of(dev_incidents),
        init=init,
        channel_map=channel_map(rules),
        git=git_revision(),
        on_epoch=show,
    )
    card, _ = fit(job)
    note(f"{folder}: trained on {card.trained_on}, {card.metrics}", quiet)
    write_json(json, {"checkpoint": str(folder), **card.model_dump(mode="json")})
    return 0
