"""A training job from sources to checkpoint folder: collect examples, split, train, calibrate, save."""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from data.incident import Incident
from data.simulator.batch.generate import topology_key
from gnn.checkpoint import Card, Start, card_for, channel_map_for, load, save
from gnn.features.featurize import MODES
from gnn.network.batch import Example, examples_of, has_example
from gnn.per_system.alert_frequencies import Habits
from gnn.per_system.system_ensemble import Specialist
from gnn.training.calibration import LEAST, fit_temperatures
from gnn.training.cross_fitting import MANY, Labels, Specialised, accustomed, specialise, unseen_scores
from gnn.training.distil import taught
from gnn.training.finetuning import FEW, adapt
from gnn.training.progress import Meter, Stage, Steps
from gnn.training.simulated_finetuning import rehearse
from gnn.training.train import Rating, TrainConfig, rate, rate_scores, score_examples, train
from gnn.training.training_job import FitJob, TrainingError, group_of, is_dev, windows_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gnn.network.model import RootCauseNet

    Scores = Sequence[npt.NDArray[np.float32]]

_FAMILY_LEAST = 20  # examples of a fault family from which the family head learns it
# With less than an even chance for its first candidate the ranker says that it is unsure.
UNSURE_BELOW = 0.5


def fit(job: FitJob) -> tuple[Card, "RootCauseNet"]:
    """Runs the job and writes `job.out`; returns the card and the network.

    Raises:
        TrainingError: no labelled example in any source, or one that teachers do not teach on.
        CheckpointError: `job.init` or one of `job.teachers` cannot be used.
        ResumeError: `job.state` is of another job.
        SettingsError: this machine lacks the device or the precision.
    """
    if job.teachers and (job.init or job.incidents or job.overlaid):
        raise TrainingError("teachers teach on episodes and simulated worlds, and from fresh weights, only")
    if job.channel_map is None:
        starts = (job.init, *job.teachers) if job.init else job.teachers
        job = replace(job, channel_map=channel_map_for(None, starts))
    meter = Meter(job.on_epoch, job.on_stage)
    job = replace(job, on_epoch=meter.epoch_done, on_stage=meter.stage_moved)
    if job.history:
        _refuse_history(job)
        if job.init and not job.incidents:
            return _accustomed(job, job.init)
    init, init_card = load(job.init) if job.init else (None, None)
    teachers = [load(teacher)[0] for teacher in job.teachers]
    config = job.config
    if init is not None:
        config = config.model_copy(update={"model": init.config})
    course = any(net.course for net in (config.model, *(teacher.config for teacher in teachers)))
    read = _read(job, course)
    dev = list(examples_of(job.dev_incidents, job.channel_map, course))
    labels = Labels.of(job.incidents, read.examples, read.groups)
    few = init is not None and read.rooted <= FEW and not dev and not job.overlaid
    in_turn = init is None and not dev and labels is not None and len(read.examples) <= MANY
    learnt, held_out = (read.examples, []) if few or in_turn else read.split()
    if not any(example.is_root.any() for example in learnt):
        raise TrainingError(
            "no incident with a known root cause to learn from – label some, or use --simulate N"
        )
    if teachers:
        learnt = taught(learnt, teachers, job.on_stage)
    if init is None and not config.model.families:
        shape = config.model.model_copy(update={"families": _families(learnt)})
        config = config.model_copy(update={"model": shape})

    if init is not None and job.overlaid:
        made = _rehearsed(job, config, init, read, learnt, held_out)
    elif init is not None and few:
        made = _adapted(job, config, init, read, learnt)
    elif in_turn and labels is not None:
        made = _trained_in_turn(job, config, learnt, labels)
    else:
        made = _trained(job, config, init, learnt, held_out, dev)
    temperature = _temperatures(made.scores, made.unseen, init_card)
    logits = [
        scores / temperature.get(MODES[example.graph.mode], 1.0)
        for scores, example in zip(made.scores, made.unseen, strict=True)
    ]
    specialised = None
    if labels is not None:
        apart = labels.apart(held_out)
        specialised = specialise(apart, made.unseen, logits, config.seed, job.history, job.on_stage)
    if job.history and specialised is None:
        specialised = _used_to(job, read, made.unseen, logits)
    specialist = specialised.specialist if specialised else None
    after = made.after
    if specialised is not None and not job.dev_incidents and not math.isnan(specialised.unseen.ac1):
        after = specialised.unseen
    card = card_for(
        config.model,
        training={**config.model_dump(mode="json", exclude={"model"}), "teachers": len(teachers)},
        trained_on=dict(sorted(Counter(example.source for example in learnt).items())),
        start=Start.of(init_card) if init_card else None,
        effort=meter.effort(config.device, job.workers),
        metrics={
            "dev_n": sum(bool(example.is_root.any()) for example in made.judged),
            "dev_ac@1": _rounded(after.ac1),
            "dev_ac@1_before": _rounded(made.before.ac1),
            **({} if made.step is None else {"adapted": made.step}),
        },
        temperature=temperature,
        unsure_below=init_card.unsure_below if init_card else UNSURE_BELOW,
        pool=specialist.pool if specialist else None,
        history=_counted(job.history) if specialist else {},
        own_rules=job.own_rules is not None,
        git=job.git,
    )
    if job.workers.leads:
        writing = Steps("checkpoint written", 1, job.on_stage)
        save(made.net, card, job.out, specialist, job.own_rules)
        writing.step()
        if job.state is not None:
            job.state.unlink(missing_ok=True)
    return card, made.net


class _Read(NamedTuple):
    """What the sources hold."""

    examples: list[Example]
    ids: list[str]  # the incident of each

    @property
    def groups(self) -> list[str]:
        """What each example must not be parted from."""
        return [group_of(name) for name in self.ids]

    @property
    def rooted(self) -> int:
        """How many groups have a known root cause."""
        named = zip(self.groups, self.examples, strict=True)
        return len({group for group, example in named if example.is_root.any()})

    def split(self) -> tuple[list[Example], list[Example]]:
        """What is learnt from, and what is held out."""
        learnt: list[Example] = []
        held_out: list[Example] = []
        for example, name in zip(self.examples, self.ids, strict=True):
            (held_out if is_dev(name) else learnt).append(example)
        return learnt, held_out


def _read(job: FitJob, course: bool) -> _Read:
    read = _Read([], [])
    # The card shall not say that real incidents of the system were learnt from.
    overlaid = (
        replace(incident, system=f"{incident.system or 'own system'}, simulated faults")
        for incident in job.overlaid
    )
    for incident in itertools.chain(windows_of(job.episodes), job.incidents, overlaid, job.simulated):
        for example in examples_of([incident], job.channel_map, course):
            read.examples.append(example)
            read.ids.append(incident.incident_id)
            job.on_stage(Stage("examples read", len(read.examples)))
    return read


class _Made(NamedTuple):
    """A network, and what was found out about it."""

    net: "RootCauseNet"
    unseen: Sequence[Example]  # examples that it, or one made in the same way, was not shown
    scores: "Scores"  # what was said of each
    judged: Sequence[Example]  # what the ratings are of
    after: Rating
    before: Rating = Rating(math.nan, math.nan)  # of the start
    step: float | None = None  # how far it went from the start, where that was decided


def _rehearsed(
    job: FitJob,
    config: TrainConfig,
    init: "RootCauseNet",
    read: _Read,
    learnt: Sequence[Example],
    held_out: Sequence[Example],
) -> _Made:
    elsewhere = {id(e) for e, name in zip(read.examples, read.ids, strict=True) if topology_key(name)}
    own, others = _split(learnt, elsewhere)
    if not any(example.is_root.any() for example in own):
        raise TrainingError(
            "no service of the healthy windows is ever asked: a fault would not show anywhere"
        )
    aside, others_aside = _split(held_out, elsewhere)
    done = rehearse(
        config, own, others, aside, others_aside, init, job.on_epoch, job.workers, job.state, job.on_stage
    )
    # Simulated faults say little of how sure to be of real ones: the temperatures of the start are kept.
    return _Made(done.net, [], [], aside, done.after, done.before, done.step)


def _adapted(
    job: FitJob, config: TrainConfig, init: "RootCauseNet", read: _Read, learnt: Sequence[Example]
) -> _Made:
    done = adapt(config, learnt, read.groups, init, job.on_epoch, job.on_stage)
    return _Made(done.net, done.held_out, done.scores, done.held_out, done.after, done.before, done.step)


def _trained_in_turn(job: FitJob, config: TrainConfig, learnt: Sequence[Example], labels: Labels) -> _Made:
    net = train(config, learnt, (), None, job.on_epoch, job.workers, job.state)
    unseen, scores = unseen_scores(config, labels, job.workers, job.on_stage)
    return _Made(net, unseen, scores, unseen, rate_scores(scores, unseen))


def _trained(
    job: FitJob,
    config: TrainConfig,
    init: "RootCauseNet | None",
    learnt: Sequence[Example],
    held_out: Sequence[Example],
    dev: Sequence[Example],
) -> _Made:
    unseen, judged = [*held_out, *dev], dev or held_out
    net = train(config, learnt, judged, init, job.on_epoch, job.workers, job.state)
    made = _Made(net, unseen, score_examples(net, unseen), judged, rate(net, judged))
    return made if init is None else made._replace(before=rate(init, judged))


def _used_to(
    job: FitJob, read: _Read, unseen: Sequence[Example], logits: Sequence["npt.NDArray[np.floating]"]
) -> Specialised | None:
    """What is usual in the system, where no labels of it make a specialist."""
    incident_of = {id(e): i for e, i in zip(read.examples, filter(has_example, job.incidents), strict=True)}
    judged = [
        (incident_of[id(example)], example, own)
        for example, own in zip(unseen, logits, strict=True)
        if id(example) in incident_of and example.is_root.any()
    ]
    return accustomed(Habits.of([*job.history, *job.incidents]), judged)


def _accustomed(job: FitJob, init: Path) -> tuple[Card, "RootCauseNet"]:
    """The start as it is, and what is usual in the system beside it."""
    net, card = load(init)
    if card.pool is not None and card.pool.hears_trees:
        raise TrainingError(
            f"{init}: it knows a system from labels – give these again with --incidents, beside --history"
        )
    specialist = Specialist(Habits.of(job.history))
    told = {"history": _counted(job.history), "own_rules": job.own_rules is not None}
    card = card.model_copy(update={"pool": specialist.pool, **told})
    if job.workers.leads:
        save(net, card, job.out, specialist, job.own_rules)
    return card, net


def _refuse_history(job: FitJob) -> None:
    if job.episodes or job.simulated or job.overlaid or job.teachers:
        raise TrainingError("past incidents tell of one system: train on its incidents only, or on none")
    if not Habits.of(job.history).past:
        raise TrainingError(
            "the past incidents hold no alerts at their services – leave them away: series have own baselines"
        )
    ours, theirs = ({name for one in of for name in one.services} for of in (job.incidents, job.history))
    if ours and theirs and not ours & theirs:
        raise TrainingError(
            f"the past incidents are of another system: it has services such as '{min(theirs)}' and none of "
            f"those learnt from, such as '{min(ours)}' – give past incidents of the same system, or none"
        )


def _counted(history: Sequence[Incident]) -> dict[str, int]:
    counts = Counter(incident.system or "own system" for incident in history if incident.alerts)
    return dict(sorted(counts.items()))


def _split(examples: Sequence[Example], apart: Collection[int]) -> tuple[list[Example], list[Example]]:
    """Those whose identity is not in `apart`, and those whose is."""
    return [e for e in examples if id(e) not in apart], [e for e in examples if id(e) in apart]


def _temperatures(scores: "Scores", unseen: Sequence[Example], init: Card | None) -> dict[str, float]:
    """Fitted on `unseen`; with too few of them, as after few labels or none, those of the start are kept."""
    if init is not None and sum(bool(example.is_root.any()) for example in unseen) < LEAST:
        return init.temperature
    return fit_temperatures(scores, unseen)


def _families(examples: Sequence[Example]) -> tuple[str, ...]:
    """The fault families that are seen often enough to be told apart."""
    counts = Counter(example.fault for example in examples if example.fault and "+" not in example.fault)
    return tuple(sorted(name for name, count in counts.items() if count >= _FAMILY_LEAST))


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
