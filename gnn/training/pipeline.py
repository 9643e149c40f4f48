"""Training, from sources to a checkpoint folder: read examples, split, train, calibrate, save."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from data.incident import Incident
from gnn.card import Card, Start
from gnn.checkpoint import card_for, channel_map_for, load, read_card, save
from gnn.network.batch import Example, examples_of
from gnn.network.softmax import Doubt, tempered
from gnn.per_system.alert_frequencies import AlertFrequencies
from gnn.per_system.system_ensemble import SystemEnsemble
from gnn.per_system.trees import PARTS
from gnn.seen import marks_of
from gnn.training.calibration import LEAST, calibrate
from gnn.training.cross_fitting import (
    MANY,
    HeldOutScore,
    choose_pool,
    fit_frequencies,
    grown,
    is_one_system,
    judged_by_trees,
    unseen_scores,
)
from gnn.training.distil import with_teacher_scores
from gnn.training.finetuning import FEW, finetune
from gnn.training.folds import folds_of, kinds_of
from gnn.training.progress import OVER_INCIDENTS, OVER_KINDS, Meter, Stage, Steps
from gnn.training.simulated_finetuning import finetune_on_simulation, named_as_simulated
from gnn.training.train import Rating, TrainConfig, Trained, rate, rate_scores, score_examples, train
from gnn.training.training_job import TrainingError, TrainingJob, is_dev, refuse_foreign_history, windows_of

if TYPE_CHECKING:
    from gnn.network.model import RootCauseNet

Scores = Sequence[npt.NDArray[np.float32]]

_FAMILY_LEAST = 20  # examples of a fault family from which the family head learns it
# The ranker calls itself unsure if its first candidate has less than an even chance.
UNSURE_BELOW = 0.5


def train_checkpoint(job: TrainingJob) -> tuple[Card, "RootCauseNet"]:
    """Runs the job and writes `job.out`; returns the card and the network.

    Raises:
        TrainingError: no labelled example in any source, or one that teachers do not teach on.
        CheckpointError: `job.init` or one of `job.teachers` cannot be used.
        ResumeError: `job.state` is of another job.
        SettingsError: this machine lacks the device or the precision.
    """
    if job.teachers and (job.init or job.incidents or job.overlaid):
        raise TrainingError("--teacher works with episodes and simulated worlds only, and without --init")
    if job.channel_map is None:
        job = replace(job, channel_map=channel_map_for(None, job.starts))
    meter = Meter(job.on_epoch, job.on_stage)
    job = replace(job, on_epoch=meter.epoch_done, on_stage=meter.stage_moved)
    if job.history:
        refuse_foreign_history(job)
        if job.init and not job.incidents:
            return _with_frequencies(job, job.init)

    init, init_card = load(job.init) if job.init else (None, None)
    teachers = [load(teacher)[0] for teacher in job.teachers]
    config = job.config
    if init is not None:
        config = config.model_copy(update={"model": init.config})
    given = _material(job, init)
    if teachers:
        given = given._replace(learnt=with_teacher_scores(given.learnt, teachers, job.on_stage))
    if init is None and not config.model.families:
        shape = config.model.model_copy(update={"families": _families(given.learnt)})
        config = config.model_copy(update={"model": shape})

    made = _network(job, config, init, given)
    doubt = _doubt(made.scores, made.unseen, init_card)
    ensemble, after = _ensemble(job, config, given, made, doubt)
    if given.trees_alone and ensemble is None:
        made = made._replace(step=0.0)
    card = card_for(
        made.net.config,
        training={**config.model_dump(mode="json", exclude={"model"}), "teachers": len(teachers)},
        trained_on=dict(sorted(Counter(example.source for example in given.learnt).items())),
        seen=_seen(job),
        start=Start.of(init_card) if init_card else None,
        effort=meter.effort(config.device, job.workers),
        metrics={
            "dev_n": sum(example.has_root for example in made.judged),
            "dev_ac@1": _rounded(after.ac1),
            "dev_ac@1_before": _rounded(made.before.ac1),
            **({} if made.step is None else {"adapted": made.step}),
        },
        **doubt._asdict(),
        unsure_below=init_card.unsure_below if init_card else UNSURE_BELOW,
        history=_counted(job.history) if ensemble else {},
        git=job.git,
    )
    if job.workers.is_main:
        writing = Steps("checkpoint written", 1, job.on_stage)
        card = save(made.net, card, job.out, ensemble, job.own_rules)
        writing.step()
        if job.state is not None:
            job.state.unlink(missing_ok=True)
    return card, made.net


class _Material(NamedTuple):
    """The examples of a job, and how they are used."""

    examples: Sequence[Example]
    learnt: Sequence[Example]
    held_out: Sequence[Example]
    dev: Sequence[Example]  # of other incidents, to choose the epoch by
    one_system: bool
    few: bool  # of labels: each is held out once, from a fine-tuning on the others
    in_turn: bool  # few enough examples to hold each part out once
    trees_alone: bool  # trees learn the labels; fine-tuning the network beside them gains nothing


def _material(job: TrainingJob, init: "RootCauseNet | None") -> _Material:
    """Reads what to learn from, and holds some of it out."""
    examples = _read(job)
    dev = list(examples_of(job.dev_incidents, job.channel_map))
    one_system = is_one_system(examples)
    rooted = {example.group for example in examples if example.has_root}
    few = init is not None and len(rooted) <= FEW and not dev and not job.overlaid
    in_turn = not dev and one_system and len(examples) <= MANY
    held_out = [] if few or in_turn else [example for example in examples if is_dev(example.group)]
    learnt = examples if not held_out else [example for example in examples if not is_dev(example.group)]
    if not any(example.has_root for example in learnt):
        raise TrainingError(
            "no incident with a known root cause to learn from – label some, or use --simulate N"
        )
    trees_alone = init is not None and one_system and not dev
    return _Material(examples, learnt, held_out, dev, one_system, few, in_turn, trees_alone)


def _network(job: TrainingJob, config: TrainConfig, init: "RootCauseNet | None", given: _Material) -> Trained:
    """The network: trained, fine-tuned, or as it was."""
    if init is not None and job.overlaid:
        return finetune_on_simulation(job, config, init, given.learnt, given.held_out)
    if init is not None and given.trees_alone:
        return _as_it_is(init, given.held_out or given.examples)
    if init is not None and given.few:
        return finetune(config, given.learnt, init, job.on_epoch, job.on_stage)
    if given.in_turn:
        return _trained_in_turn(job, config, given.learnt)
    return _trained(job, config, init, given.learnt, given.held_out, given.dev)


def _ensemble(
    job: TrainingJob, config: TrainConfig, given: _Material, made: Trained, doubt: Doubt
) -> tuple[SystemEnsemble | None, Rating]:
    """Trees and alert frequencies, weighed on examples that the network had not seen, and how they rank."""
    unseen = [
        HeldOutScore(example, tempered(scores, example.graph, doubt))
        for example, scores in zip(made.unseen, made.scores, strict=True)
    ]
    examples, after = given.examples, made.after
    if given.one_system:
        folds = {e.group: int(is_dev(e.group)) for e in examples} if given.held_out else folds_of(examples)
        known, others = (
            judged_by_trees(unseen, examples, each, over, config.seed, job.history, job.on_stage)
            for over, each in ((OVER_INCIDENTS, folds), (OVER_KINDS, kinds_of(examples)))
        )
        pool, pooled = choose_pool(known, others)
        if pool.uses_others:
            growing = Steps("trees, in parts", PARTS, job.on_stage)
            ensemble = grown(examples, config.seed, job.history, growing).with_pool(pool)
            return ensemble, after if job.dev_incidents else pooled
    if job.history:
        used = fit_frequencies(AlertFrequencies.of([*job.history, *job.incidents]), unseen)
        if used is not None:
            kept = job.dev_incidents or math.isnan(used.unseen.ac1)
            return used.ensemble, after if kept else used.unseen
    return None, after


def _as_it_is(net: "RootCauseNet", examples: Sequence[Example]) -> Trained:
    """A network that learns nothing from the examples; it had not seen any of them."""
    rooted = [example for example in examples if example.has_root]
    scores = score_examples(net, rooted)
    rating = rate_scores(scores, rooted)
    return Trained(net, rooted, scores, rooted, rating, rating)


def _seen(job: TrainingJob) -> tuple[str, ...]:
    """Marks of the incidents that were read, and of those that the starting checkpoints had seen."""
    earlier = itertools.chain.from_iterable(read_card(start).seen for start in job.starts)
    return marks_of((*job.incidents, *job.history, *job.dev_incidents), earlier)


def _read(job: TrainingJob) -> list[Example]:
    examples: list[Example] = []
    for incidents, own in (
        (windows_of(job.episodes), False),
        (job.incidents, True),
        (itertools.chain(named_as_simulated(job.overlaid), job.simulated), False),
    ):
        for incident in incidents:
            for example in examples_of([incident], job.channel_map):
                examples.append(example._replace(incident=incident if own else None))
                job.on_stage(Stage("examples read", len(examples)))
    return examples


def _trained_in_turn(job: TrainingJob, config: TrainConfig, learnt: Sequence[Example]) -> Trained:
    net = train(config, learnt, (), None, job.on_epoch, job.workers, job.state)
    unseen, scores = unseen_scores(config, learnt, job.workers, job.on_stage)
    return Trained(net, unseen, scores, unseen, rate_scores(scores, unseen))


def _trained(
    job: TrainingJob,
    config: TrainConfig,
    init: "RootCauseNet | None",
    learnt: Sequence[Example],
    held_out: Sequence[Example],
    dev: Sequence[Example],
) -> Trained:
    unseen, judged = [*held_out, *dev], dev or held_out
    net = train(config, learnt, judged, init, job.on_epoch, job.workers, job.state)
    made = Trained(net, unseen, score_examples(net, unseen), judged, rate(net, judged))
    return made if init is None else made._replace(before=rate(init, judged))


def _with_frequencies(job: TrainingJob, init: Path) -> tuple[Card, "RootCauseNet"]:
    """Keeps the starting network as it is and adds the alert frequencies of the system."""
    net, card = load(init)
    if card.pool is not None and card.pool.uses_trees:
        raise TrainingError(
            f"{init}: it was trained on the labels of one system – "
            "give them again with --incidents, beside --history"
        )
    ensemble = SystemEnsemble(AlertFrequencies.of(job.history))
    card = card.model_copy(update={"history": _counted(job.history), "seen": _seen(job)})
    if job.workers.is_main:
        card = save(net, card, job.out, ensemble, job.own_rules)
    return card, net


def _counted(history: Sequence[Incident]) -> dict[str, int]:
    counts = Counter(incident.system or "own system" for incident in history if incident.alerts)
    return dict(sorted(counts.items()))


def _doubt(scores: Scores, unseen: Sequence[Example], init: Card | None) -> Doubt:
    """Temperatures fitted on `unseen`; with too few of those, the temperatures of the start."""
    if init is not None and sum(example.has_root for example in unseen) < LEAST:
        return init.doubt
    return calibrate(scores, unseen)


def _families(examples: Sequence[Example]) -> tuple[str, ...]:
    """The fault families with enough examples to tell them apart."""
    counts = Counter(example.fault for example in examples if example.fault and "+" not in example.fault)
    return tuple(sorted(name for name, count in counts.items() if count >= _FAMILY_LEAST))


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
