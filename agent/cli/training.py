"""Trains a ranker: what `train` does once its options are read."""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.cli.command import new_folder
from agent.cli.console import note, write_json
from agent.cli.naming import tell_unmapped, unmapped_in
from agent.cli.sources import episodes_of, healthy_of, incidents_of, simulated, tell_unused
from agent.cli.train_request import TrainRequest, as_typed, refuse_contradictions
from agent.cli.training_progress import TensorBoard, TrainingProgress, spent
from agent.records.provenance import git_revision
from data.errors import FirewatchError, SettingsError
from data.files.whole_file import write_whole
from data.incident import Incident
from data.labels import read_labels
from gnn.checkpoint import CARD, Card, channel_map_for, read_card
from gnn.training.pipeline import fit
from gnn.training.simulated_finetuning import WORLDS, worlds_of
from gnn.training.split_history import told_apart
from gnn.training.train import Epoch
from gnn.training.training_job import FitJob
from gnn.training.workers import Workers, pick_device, pick_precision, workers

REQUEST, STATE = "training.json", "training.safetensors"
# What may differ when a training goes on: it decides where and how it runs, not what comes out.
_FREE = {"device", "tensorboard"}


def train_ranker(
    asked: TrainRequest,
    given: Collection[str],
    out: Path | None,
    resume: Path | None,
    json: Path | None,
    quiet: bool,
) -> int:
    """Trains what was asked for, or goes on in the folder `resume`; returns the exit status.

    Raises:
        SettingsError: the options contradict each other or the folder.
    """
    if resume is not None:
        if out is not None and out.resolve() != resume.resolve():
            raise SettingsError(f"--out {out} and --resume {resume} name different folders: leave --out away")
        if not (resume / REQUEST).exists() and (resume / CARD).exists():
            card = _done(resume, asked, given)
            note(f"{resume}: this training is done, nothing is changed", quiet)
            write_json(json, _result(resume, card))
            return 0
        asked = _unfinished(resume, asked, given)
    refuse_contradictions(asked, given)
    with workers(asked.device) as together:
        return _run(asked, resume, out, together, json, quiet or not together.leads)


def _run(
    asked: TrainRequest,
    resume: Path | None,
    out: Path | None,
    together: Workers,
    json: Path | None,
    quiet: bool,
) -> int:
    config = asked.config
    pick_precision(config.precision, pick_device(config.device))  # better refused now than after the reading
    folder = resume or out or new_folder("trained")
    if resume is None and (folder / STATE).exists():
        raise SettingsError(
            f"{folder} holds an interrupted training: use --resume {folder}, or remove {folder / STATE}"
        )
    with (
        TrainingProgress(config.epochs, quiet) as progress,
        TensorBoard(asked.tensorboard if together.leads else None) as board,
    ):

        def tell(epoch: Epoch) -> None:
            progress.epoch_done(epoch)
            board.epoch_done(epoch)

        rules = channel_map_for(asked.rules, asked.starts)
        own: Iterable[Incident] = ()
        others = simulated(asked.simulate, asked.seed)
        healthy = incidents_of(asked.healthy)
        if asked.healthy:
            windows = healthy_of(healthy, asked.healthy, rules)
            own, others = worlds_of(windows, asked.simulate or WORLDS, asked.seed, rules)
        known = read_labels(asked.labels) if asked.labels else {}
        labelled, history = told_apart(
            incidents_of(asked.incidents, known), incidents_of(asked.history, known)
        )
        if asked.history and not history:
            raise SettingsError(
                f"--history {' '.join(map(str, asked.history))}: no incident that is not labelled"
            )
        if asked.history and asked.incidents and not labelled:
            raise SettingsError(
                f"--incidents {' '.join(map(str, asked.incidents))}: no incident with a label; leave it away"
            )
        job = FitJob(
            config=config,
            out=folder,
            episodes=episodes_of(asked.episodes_from, known),
            incidents=labelled,
            history=history,
            simulated=others,
            overlaid=own,
            dev_incidents=incidents_of(asked.dev_incidents, known),
            init=asked.init,
            teachers=asked.teacher,
            channel_map=rules,
            git=git_revision(),
            on_epoch=tell,
            on_stage=progress.stage_moved,
            workers=together,
            state=folder / STATE,
        )
        read = (*healthy, *labelled, *history, *job.dev_incidents)
        seen = chain.from_iterable(episode.observations for episode in job.episodes)
        tell_unmapped(unmapped_in(chain(read, seen), rules), quiet)
        names = chain((one.incident_id for one in read), (episode.task.name for episode in job.episodes))
        tell_unused(known, names, quiet)
        if together.leads:
            _keep(folder / REQUEST, asked)
        try:
            card, _ = fit(job)
        except FirewatchError:
            if resume is None and together.leads:  # nothing was begun that could go on
                (folder / REQUEST).unlink()
                (folder / STATE).unlink(missing_ok=True)
            raise
        except OSError as error:
            raise SettingsError(
                f"{error.filename}: {error.strerror} – when that is mended go on with: "
                f"firewatch train --resume {folder}"
            ) from None
        except KeyboardInterrupt:
            note(f"Interrupted. Go on with: firewatch train --resume {folder}", quiet)
            raise
    if together.leads:
        (folder / REQUEST).unlink(missing_ok=True)
        for line in _told(asked, folder, card):
            note(line, quiet)
        write_json(json, _result(folder, card))
    return 0


def _told(asked: TrainRequest, folder: Path, card: Card) -> Iterator[str]:
    """What came of it, in words."""
    only_history = bool(asked.history) and not asked.incidents
    if asked.init and read_card(asked.init).pool is not None and not only_history:
        yield f"{asked.init} knew one system by heart: only its network was started from"
    if card.metrics.get("adapted") == 0.0:
        why = "what was held aside does not show that adapting helps"
        if not card.metrics["dev_n"]:
            more = (
                "simulate more with --simulate N" if asked.healthy else "give two labelled incidents or more"
            )
            why = f"nothing could be held aside to show whether adapting helps – {more}"
        yield f"The start is kept: {why}"
    if asked.history and card.pool is None:
        yield "The past incidents are not heard: on labels held aside they mislead"
    if only_history:
        yield f"{folder}: the network of {asked.init}, with what is usual in {card.history}"
    else:
        yield f"{folder}: trained on {card.trained_on}, {card.metrics}{spent(card)}"


def _result(folder: Path, card: Card) -> dict[str, Any]:
    return {"checkpoint": str(folder), **card.model_dump(mode="json")}


def _done(folder: Path, asked: TrainRequest, given: Collection[str]) -> Card:
    """The card of a finished training, if no option asks for another one as far as the card tells."""
    card = read_card(folder)
    told = {**card.training, **card.model}
    for name in sorted(given):
        field = "batch_graphs" if name == "batch" else name
        if name not in _FREE and field in told and told[field] != getattr(asked, name):
            raise SettingsError(
                f"{as_typed(name)}: the training in {folder} is done, with {told[field]}; leave it away, or "
                f"train further with --init {folder} and another --out"
            )
    return card


def _keep(path: Path, asked: TrainRequest) -> None:
    """Writes the request, whole or not at all, with paths that mean the same from any folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, asked.model_dump_json(indent=1) + "\n")


def _unfinished(folder: Path, asked: TrainRequest, given: Collection[str]) -> TrainRequest:
    """The request that was interrupted in `folder`, with those options of now that may differ."""
    path = folder / REQUEST
    try:
        kept = TrainRequest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{folder}: no interrupted training there ({REQUEST} is missing)") from None
    except (UnicodeDecodeError, ValidationError):
        raise SettingsError(f"{path}: damaged – remove it and start again with --out {folder}") from None
    changed: dict[str, Any] = {}
    for name in TrainRequest.model_fields:
        if name not in given or getattr(asked, name) == getattr(kept, name):
            continue
        if name not in _FREE:
            shown = getattr(kept, name)
            raise SettingsError(
                f"{as_typed(name)}: the training in {folder} was started with {shown}; leave it away"
            )
        changed[name] = getattr(asked, name)
    return kept.model_copy(update=changed)
