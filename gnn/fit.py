"""A training job from sources to checkpoint folder: collect examples, split, train, calibrate, save."""

import itertools
import math
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from data.channels import ChannelMap, OwnRules
from data.episodes import Episode
from data.errors import FirewatchError
from data.incident import Incident
from data.simulator.generate import topology_key
from gnn.adapt import FEW, adapt
from gnn.batch import Example, examples_of, has_example
from gnn.calibration import LEAST, fit_temperatures
from gnn.checkpoint import Card, card_for, channel_map_for, load, save
from gnn.distil import taught
from gnn.features import MODES
from gnn.habits import Habits
from gnn.own_system import MANY, Labels, accustomed, specialise, unseen_scores
from gnn.rehearsal import rehearse
from gnn.specialist import Specialist
from gnn.train import Epoch, Rating, TrainConfig, rate, rate_scores, score_examples, train
from gnn.workers import ALONE, Workers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gnn.model import RootCauseNet

    Scores = Sequence[npt.NDArray[np.float32]]

_WINDOWS = 5  # windows of an episode that are learnt from: after its first, second … fifth observation
_DEV_SHARE = 0.15
_FAMILY_LEAST = 20  # examples of a fault family from which the family head learns it
# With less than an even chance for its first candidate the ranker says that it is unsure.
UNSURE_BELOW = 0.5


class TrainingError(FirewatchError):
    """Nothing to learn from, or a start that does not fit."""


@dataclass(frozen=True)
class FitJob:
    """One training job; sources may be mixed.

    The epoch that ranks `dev_incidents` best is kept; without them, the best on what the sources hold out.
    With `init` and a handful of labels, each of them is held out once (`gnn.adapt`). With `init` and
    `overlaid` the only other source is `simulated`, and both are needed (`gnn.rehearsal`). With `init` and
    `history` alone nothing is trained: what is usual in the system is counted (`gnn.habits`).
    """

    config: TrainConfig
    out: Path
    episodes: Sequence[Episode] = ()
    incidents: Sequence[Incident] = ()
    history: Sequence[Incident] = ()  # past incidents of the system of `incidents`; no labels needed
    simulated: Iterable[Incident] = ()
    overlaid: Iterable[Incident] = ()  # faults laid over the healthy past of the system to adapt to
    dev_incidents: Sequence[Incident] = ()
    init: Path | None = None
    teachers: Sequence[Path] = ()  # checkpoints whose networks say whom to suspect, not the labels
    channel_map: ChannelMap | None = None  # how metric names are read; None: as `init` or `teachers` do
    git: str | None = None
    on_examples: Callable[[int], None] = field(default=lambda read: None)  # told how many are read so far
    on_epoch: Callable[[Epoch], None] = field(default=lambda epoch: None)
    workers: Workers = ALONE  # the processes that run this job together
    state: Path | None = None  # where each epoch is kept, to go on from after an interruption

    @property
    def own_rules(self) -> OwnRules | None:
        """The rules by which metric names are read before the default ones."""
        return self.channel_map.own if self.channel_map else None


def windows_of(episodes: Iterable[Episode]) -> Iterator[Incident]:
    """The labelled incidents that an agent would have seen in each episode before any remedy.

    Episodes without known root causes are left out.
    """
    for episode in episodes:
        if episode.labels is None:
            continue
        seen = episode.before_remedies
        fault = "+".join(episode.labels.fault_types)
        for length in range(1, min(len(seen), _WINDOWS) + 1):
            window = Incident.from_observations(seen[:length], f"{episode.task.name}@{length - 1}")
            yield window.labelled(
                episode.labels.root_causes, fault, system=f"episodes-{episode.task.difficulty}"
            )


def group_of(incident_id: str) -> str:
    """What a split keeps together: the windows of an episode, the simulated incidents of a topology."""
    whole = incident_id.split("@")[0]
    return topology_key(whole) or whole


def is_dev(incident_id: str) -> bool:
    """Whether an incident is held out for selection: by its group, so never some steps of an episode."""
    return zlib.crc32(group_of(incident_id).encode()) % 1000 < 1000 * _DEV_SHARE


def fit(job: FitJob) -> tuple[Card, "RootCauseNet"]:
    """Runs the job and writes `job.out`; returns the card and the network.

    Raises:
        TrainingError: no labelled example in any source, or one that teachers do not teach on.
        CheckpointError: `job.init` or one of `job.teachers` cannot be used.
        ResumeError: `job.state` is of another job.
        SettingsError: this machine lacks the device or the precision.
    """
    if job.channel_map is None:
        starts = (job.init, *job.teachers) if job.init else job.teachers
        job = replace(job, channel_map=channel_map_for(None, starts))
    if job.history:
        _refuse_history(job)
        if job.init and not job.incidents:
            return _accustomed(job, job.init)
    if job.teachers and (job.init or job.incidents or job.overlaid):
        raise TrainingError("teachers teach on episodes and simulated worlds, and from fresh weights, only")
    init, init_card = load(job.init) if job.init else (None, None)
    teachers = [load(teacher)[0] for teacher in job.teachers]
    config = job.config
    if init is not None:
        config = config.model_copy(update={"model": init.config})
    course = any(net.course for net in (config.model, *(teacher.config for teacher in teachers)))
    examples: list[Example] = []
    ids: list[str] = []
    # The card shall not say that real incidents of the system were learnt from.
    overlaid = (
        replace(incident, system=f"{incident.system or 'own system'}, simulated faults")
        for incident in job.overlaid
    )
    for incident in itertools.chain(windows_of(job.episodes), job.incidents, overlaid, job.simulated):
        for example in examples_of([incident], job.channel_map, course):
            examples.append(example)
            ids.append(incident.incident_id)
            job.on_examples(len(examples))
    rooted = {group_of(name) for name, example in zip(ids, examples, strict=True) if example.is_root.any()}
    dev = list(examples_of(job.dev_incidents, job.channel_map, course))
    few = init is not None and len(rooted) <= FEW and not dev and not job.overlaid
    labels = Labels.of(job.incidents, examples, [group_of(name) for name in ids])
    in_turn = init is None and not dev and labels is not None and len(examples) <= MANY
    held_out = [] if few or in_turn else [e for e, name in zip(examples, ids, strict=True) if is_dev(name)]
    learnt = (
        examples if not held_out else [e for e, name in zip(examples, ids, strict=True) if not is_dev(name)]
    )
    if not any(example.is_root.any() for example in learnt):
        raise TrainingError(
            "no incident with a known root cause to learn from – label some, or use --simulate N"
        )
    if teachers:
        learnt = taught(learnt, teachers)
    if init is None and not config.model.families:
        shape = config.model.model_copy(update={"families": _families(learnt)})
        config = config.model_copy(update={"model": shape})

    before = Rating(math.nan, math.nan)
    metrics: dict[str, float | int | None] = {}
    if init is not None and job.overlaid:
        elsewhere = {id(e) for e, name in zip(examples, ids, strict=True) if topology_key(name)}
        own, others = _split(learnt, elsewhere)
        if not any(example.is_root.any() for example in own):
            raise TrainingError(
                "no service of the healthy windows is ever asked: a fault would not show anywhere"
            )
        dev, others_aside = _split(held_out, elsewhere)
        rehearsed = rehearse(
            config, own, others, dev, others_aside, init, job.on_epoch, job.workers, job.state
        )
        net, before, after = rehearsed.net, rehearsed.before, rehearsed.after
        # Simulated faults say little of how sure to be of real ones: the temperatures of the start are kept.
        unseen, scores = [], []
        metrics["adapted"] = rehearsed.step
    elif init is not None and few:
        adapted = adapt(config, learnt, [group_of(name) for name in ids], init, job.on_epoch)
        net, unseen, scores = adapted.net, adapted.held_out, adapted.scores
        dev, before, after = unseen, adapted.before, adapted.after
        metrics["adapted"] = adapted.step
    elif in_turn and labels is not None:
        net = train(config, learnt, (), None, job.on_epoch, job.workers, job.state)
        unseen, scores = unseen_scores(config, labels, job.workers)
        dev, after = unseen, rate_scores(scores, unseen)
    else:
        unseen, dev = [*held_out, *dev], dev or held_out
        net = train(config, learnt, dev, init, job.on_epoch, job.workers, job.state)
        scores, after = score_examples(net, unseen), rate(net, dev)
        before = rate(init, dev) if init is not None else before
    temperature = _temperatures(scores, unseen, init_card)
    specialised = None
    logits = [s / temperature.get(MODES[e.graph.mode], 1.0) for s, e in zip(scores, unseen, strict=True)]
    if labels is not None:
        specialised = specialise(labels.apart(held_out), unseen, logits, config.seed, job.history)
    if job.history and specialised is None:
        incident_of = {id(e): i for e, i in zip(examples, filter(has_example, job.incidents), strict=True)}
        judged = [
            (incident_of[id(example)], example, own)
            for example, own in zip(unseen, logits, strict=True)
            if id(example) in incident_of and example.is_root.any()
        ]
        specialised = accustomed(Habits.of([*job.history, *job.incidents]), judged)
    specialist = specialised.specialist if specialised else None
    if specialised is not None and not job.dev_incidents and not math.isnan(specialised.unseen.ac1):
        after = specialised.unseen
    card = card_for(
        config.model,
        training={**config.model_dump(mode="json", exclude={"model"}), "teachers": len(teachers)},
        trained_on=dict(sorted(Counter(example.source for example in learnt).items())),
        metrics={
            "dev_n": sum(bool(example.is_root.any()) for example in dev),
            "dev_ac@1": _rounded(after.ac1),
            "dev_ac@1_before": _rounded(before.ac1),
            **metrics,
        },
        temperature=temperature,
        unsure_below=init_card.unsure_below if init_card else UNSURE_BELOW,
        pool=specialist.pool if specialist else None,
        history=_counted(job.history) if specialist else {},
        own_rules=job.own_rules is not None,
        git=job.git,
    )
    if job.workers.leads:
        save(net, card, job.out, specialist, job.own_rules)
        if job.state is not None:
            job.state.unlink(missing_ok=True)
    return card, net


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
