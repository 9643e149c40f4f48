"""`firewatch train`: trains a ranker and writes a checkpoint folder."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agent.cli.command import command, new_folder
from agent.cli.console import note, write_json
from agent.cli.sources import tell_unmapped, tell_unused, unmapped_in
from agent.records.provenance import git_revision
from data.errors import FirewatchError, SettingsError
from data.extras import needs
from data.files.whole_file import write_whole
from data.words import count
from gnn.card import Card
from gnn.checkpoint import CARD, read_card
from gnn.training.options import TrainOptions

if TYPE_CHECKING:
    from gnn.training.train import Epoch
    from gnn.training.workers import Workers

REQUEST, STATE = "training.json", "training.safetensors"
# Options that may change on resuming, because they don't affect the result.
_FREE = ("device", "tensorboard")


@command(TrainOptions)
def train(asked: TrainOptions) -> int:
    """Trains a ranker on stored episodes, incidents and freshly simulated worlds, in any mixture.

    [bold]--incidents[/bold] alone starts from the shipped ranker, [bold]--pure[/bold] from nothing. From 10
    labelled incidents of one system on, trees learn its names and alerts beside the network, which stays as
    it is; on kinds of faults that no label names they say nothing. With fewer, or with several systems, the
    network is fine-tuned; up to 100 labelled incidents are each held out once, and the result never ranks
    them worse than the start. [bold]--healthy[/bold] needs no labels: faults are simulated on your healthy
    data, and the result is never worse than the start on held-out ones. [bold]--history[/bold] needs no
    labels either: alerts that are common in your past incidents count less. Several [bold]--teacher[/bold]
    make one ranker of many. To use several processes or machines, write
    [bold]torchrun --nproc-per-node N -m agent[/bold] instead of [bold]firewatch[/bold].

    [dim]Example:[/dim] firewatch train --episodes-from episodes/train --simulate 2000 --out checkpoints/mine
    """
    with needs("train"):
        from gnn.training.workers import workers

    job = asked
    if asked.resume is not None:
        if not (asked.resume / REQUEST).exists() and (asked.resume / CARD).exists():
            card = _done(asked, asked.resume)
            note(f"{asked.resume}: this training is done, nothing is changed", asked.quiet)
            write_json(asked.json_to, _result(asked.resume, card))
            return 0
        job = _unfinished(asked, asked.resume)
    else:
        job.refuse_contradictions()
    folder = asked.resume or asked.out or new_folder("trained")
    if asked.resume is None and (folder / STATE).exists():
        raise SettingsError(
            f"{folder} holds an interrupted training: use --resume {folder}, or remove {folder / STATE}"
        )
    with workers(job.device) as together:
        quiet = asked.quiet or not together.is_main
        card = _learn(job, folder, together, quiet, begun=asked.resume is not None)
    if together.is_main:
        (folder / REQUEST).unlink(missing_ok=True)
        for line in _told(job, folder, card):
            note(line, quiet)
        write_json(asked.json_to, _result(folder, card))
    return 0


def _learn(job: TrainOptions, folder: Path, together: "Workers", quiet: bool, begun: bool) -> Card:
    """Reads the sources and trains; the options are saved in `folder`, for resuming."""
    from agent.cli.training_progress import TensorBoard, TrainingProgress
    from gnn.training.pipeline import train_checkpoint
    from gnn.training.read_sources import read_sources
    from gnn.training.workers import pick_device, pick_precision

    pick_precision(job.precision, pick_device(job.device))  # fail before reading, if at all
    with (
        TrainingProgress(job.config.epochs, quiet) as progress,
        TensorBoard(job.tensorboard if together.is_main else None) as board,
    ):

        def tell(epoch: "Epoch") -> None:
            progress.epoch_done(epoch)
            board.epoch_done(epoch)

        read = read_sources(job, folder)
        seen = chain.from_iterable(episode.observations for episode in read.job.episodes)
        tell_unmapped(unmapped_in(chain(read.incidents, seen), read.rules), quiet)
        tell_unused(read.known, read.names, quiet)
        if together.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / REQUEST, job.model_dump_json(indent=1) + "\n")
        try:
            card, _ = train_checkpoint(
                replace(
                    read.job,
                    git=git_revision(),
                    on_epoch=tell,
                    on_stage=progress.stage_moved,
                    workers=together,
                    state=folder / STATE,
                )
            )
        except FirewatchError:
            if not begun and together.is_main:  # there is nothing to resume
                (folder / REQUEST).unlink()
                (folder / STATE).unlink(missing_ok=True)
            raise
        except OSError as error:
            raise SettingsError(
                f"{error.filename}: {error.strerror} – once that is fixed, continue with: "
                f"firewatch train --resume {folder}"
            ) from None
        except KeyboardInterrupt:
            note(f"Interrupted. Continue with: firewatch train --resume {folder}", quiet)
            raise
    return card


def _told(asked: TrainOptions, folder: Path, card: Card) -> Iterator[str]:
    """The outcome, in sentences."""
    only_history = bool(asked.history) and not asked.incidents
    if asked.init and read_card(asked.init).pool is not None and not only_history:
        yield f"{asked.init} was trained for one system: only its network is used as the start"
    if card.metrics.get("adapted") == 0.0:
        why = "what the data teach does not help where they are held out"
        if not card.metrics["dev_n"]:
            more = (
                "simulate more with --simulate N" if asked.healthy else "give two labelled incidents or more"
            )
            why = f"nothing is held out to check fine-tuning on – {more}"
        yield f"The {'starting checkpoint' if asked.init else 'shipped ranker'} is kept as it is: {why}"
    if asked.history and card.pool is None:
        yield "The past incidents are not used: with them, held-out labels are ranked worse"
    if only_history:
        yield f"{folder}: the network of {asked.init}, with the alert frequencies of {card.history}"
    else:
        yield f"{folder}: {_outcome(card)}{_spent(card)}."


def _outcome(card: Card) -> str:
    """The amount of training data, and how well the result ranks held-out examples."""
    kinds: Counter[str] = Counter()
    for source, number in card.trained_on.items():
        kind = source.split("-")[0]
        kinds[kind if kind in ("simulated", "episodes") else "from incident files"] += number
    learnt = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    said = f"trained on {count(kinds.total(), 'example')} ({learnt})"
    metrics = card.metrics
    if metrics["dev_ac@1"] is not None:
        held_out = count(metrics["dev_n"], "held-out example")
        said += f"; the root cause ranks first in {metrics['dev_ac@1']:.0%} of {held_out}"
        if metrics["dev_ac@1_before"] is not None:
            said += f" ({metrics['dev_ac@1_before']:.0%} before)"
    return said


def _spent(card: Card) -> str:
    """The training's time and machine, if the card has them."""
    if card.effort is None:
        return ""
    it = card.effort
    speed = f", {it.incidents_per_s:,.0f} incidents a second" if it.incidents_per_s else ""
    shared = f" by {it.processes} processes" if it.processes > 1 else ""
    return f", in {it.seconds:,.0f} s on {it.device}{speed}{shared}"


def _result(folder: Path, card: Card) -> dict[str, Any]:
    return {"checkpoint": str(folder), **card.model_dump(mode="json")}


def _done(asked: TrainOptions, folder: Path) -> Card:
    """The card of a finished training, if no option contradicts it."""
    card = read_card(folder)
    told = {**card.training, **card.model}
    for name in sorted(asked.model_fields_set.intersection(told).difference(_FREE)):
        if told[name] != getattr(asked, name):
            raise SettingsError(
                f"{asked.cli(name)['name']}: the training in {folder} is done, with {told[name]}; leave it "
                f"out, or train further with --init {folder} and another --out"
            )
    return card


def _unfinished(asked: TrainOptions, folder: Path) -> TrainOptions:
    """The interrupted request in `folder`, with the options that may change."""
    path = folder / REQUEST
    try:
        started = TrainOptions.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{folder}: no interrupted training there ({REQUEST} is missing)") from None
    except (UnicodeDecodeError, ValidationError):
        raise SettingsError(f"{path}: damaged – remove it and start again with --out {folder}") from None
    asked.refuse_changes(started, _FREE)
    return started.model_copy(
        update={name: getattr(asked, name) for name in _FREE if name in asked.model_fields_set}
    )
