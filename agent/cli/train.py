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


class Temporal(StrEnum):
    """How the network follows channels over time."""

    NONE = "none"
    CONV = "conv"


class Precision(StrEnum):
    """How exactly the forward pass is computed."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


def train(
    context: typer.Context,
    episodes_from: o.EpisodesFrom = None,
    incidents: o.Incidents = None,
    simulate: o.Simulate = 0,
    dev_incidents: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Incidents that decide which epoch is kept; never trained on."),
    ] = None,
    healthy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Your system in health, no labels: baselines, and all points of incidents without a root. "
            "1000 faults are simulated on it, or N with --simulate N.",
        ),
    ] = None,
    history: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Past incidents of your system as lists of alerts: what a service raises in most of them "
            "counts little. Needs no labels, heeds known roots. Alone with --init, or beside --incidents.",
        ),
    ] = None,
    labels: o.Labels = None,
    init: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Start from this checkpoint: adapt it to your system.")
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Suspect as this checkpoint's network does, on episodes and worlds; several: their mean.",
        ),
    ] = None,
    rules: o.Rules = None,
    out: o.Out = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Go on in this folder after the last epoch that was finished there."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the examples. Default: 30, with --healthy 4.")
    ] = None,
    patience: Annotated[
        int, typer.Option(min=0, metavar="N", help="Stop after N epochs without a better one. 0: never.")
    ] = 0,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Graphs a step. Default: 32, with --init 8, with --healthy 32.")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            help="Peak of the one-cycle schedule. Default: 0.002, with --init 0.0005, with --healthy 0.0003.",
        ),
    ] = None,
    convolution: Annotated[
        Convolution,
        typer.Option(
            help="Message passing; 'none' is the graph-free control, 'degree' adds only degrees to it."
        ),
    ] = Convolution.EDGE,
    temporal: Annotated[
        Temporal, typer.Option(help="Follow channels over time; 'none': statistics alone tell of it.")
    ] = Temporal.NONE,
    hidden: Annotated[int, typer.Option(min=1, help="Hidden width.")] = 64,
    layers: Annotated[int, typer.Option(min=0, help="Rounds of message passing.")] = 3,
    dropout: Annotated[float, typer.Option(min=0.0, max=0.99, help="Of hidden values.")] = 0.1,
    channel_dropout: Annotated[
        float, typer.Option(min=0.0, max=0.99, help="Of whole channels, so that no metric is relied on.")
    ] = 0.15,
    device: o.DeviceOption = o.Device.AUTO,
    precision: Annotated[
        Precision, typer.Option(help="auto: half where there is CUDA, full on the CPU.")
    ] = Precision.AUTO,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each epoch's figures for TensorBoard here.")
    ] = None,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Trains a ranker on stored episodes, incidents and freshly simulated worlds, in any mixture.

    With [bold]--init[/bold] and up to 100 labelled incidents every one is held aside in turn; on these the
    result is never worse than the start. From 10 labelled incidents of one system on, its own names are
    learnt by heart, too, and count as far as they help on incidents held aside. With [bold]--healthy[/bold]
    no label is needed: on simulated faults held aside, of your system and of other worlds, the result is
    never worse than the start. Nor does [bold]--history[/bold] need any: on lists of alerts, what past
    incidents of your system had in common counts little. [bold]--teacher[/bold], named several times, makes
    one ranker of several.
    Several processes or machines: put
    [bold]torchrun --nproc-per-node N -m agent[/bold] in the place of [bold]firewatch[/bold].

    [dim]Example:[/dim] firewatch train --episodes-from episodes/train --simulate 2000 --out checkpoints/mine
    """
    from agent.cli.train_request import TrainRequest
    from agent.cli.training import train_ranker

    def whole(paths: list[Path] | None) -> tuple[Path, ...]:
        return tuple(path.absolute() for path in paths or ())

    asked = TrainRequest(
        episodes_from=whole(episodes_from),
        incidents=whole(incidents),
        simulate=simulate,
        dev_incidents=whole(dev_incidents),
        healthy=whole(healthy),
        history=whole(history),
        labels=labels and labels.absolute(),
        init=init and init.absolute(),
        teacher=whole(teacher),
        rules=rules and rules.absolute(),
        epochs=epochs,
        patience=patience,
        batch=batch,
        learning_rate=learning_rate,
        convolution=convolution.value,
        temporal=temporal.value,
        hidden=hidden,
        layers=layers,
        dropout=dropout,
        channel_dropout=channel_dropout,
        device=device.value,
        precision=precision.value,
        tensorboard=tensorboard and tensorboard.absolute(),
        seed=seed,
    )
    given = {name for name in context.params if o.was_given(context, name)}
    return train_ranker(asked, given, out, resume, json, quiet)
