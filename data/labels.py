"""Root causes of episodes: from a labels file, or inferred from the effect of remedies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from data.actions import is_remedy
from data.episodes import Episode, Labels
from data.errors import SchemaError
from data.files.json_text import NotJson, read_json
from data.files.refusal import schema_error
from data.incident import Incident
from data.observation import Observation, Service

# Recovery within this many ticks is credited to a remedy, unless another service's remedy comes between.
RECOVERY_TICKS = 3
_RELIEF = 0.05  # smallest fall of impact or memory that counts as recovery
_DRIFT = 0.02  # smallest change in one tick that is not noise

_MEMORY = "process_memory_utilization"
# What callers notice, and its worst value: five seconds are as bad as every request failing.
_HURTS = {"http_server_error_rate": 1.0, "http_server_request_duration_p99": 5.0}

# Task name or incident id → root causes, known from elsewhere.
KnownRoots = Mapping[str, tuple[str, ...]]

_LABEL_FILE = TypeAdapter(dict[str, tuple[str, ...]])


def label_from_outcome(episode: Episode) -> Labels | None:
    """The services that recovered after their remedy; None if none did.

    Recovery means that the service's own errors or latency fall and had not been falling before the remedy,
    or that its memory falls and had been rising. So a victim that recovers after another service's remedy
    gets no credit, nor does a healthy service whose memory falls because it was scaled.
    """
    remedies = [
        (index, action.target_service)
        for index, action in enumerate(episode.actions)
        if action.target_service is not None and is_remedy(action)
    ]
    helped: dict[str, None] = {}
    for index, target in remedies:
        others = [later for later, other in remedies if later > index and other != target]
        end = min([index + RECOVERY_TICKS, *others])
        before = _seen(episode.observations[max(index - 1, 0) : index + 1], target)
        after = _seen(episode.observations[index + 1 : end + 1], target)
        if before and after and _recovers(before, after):
            helped[target] = None
    return Labels(root_causes=tuple(helped), origin="outcome") if helped else None


def _seen(observations: Sequence[Observation], name: str) -> list[Service]:
    return [observation.services[name] for observation in observations if name in observation.services]


def _recovers(before: Sequence[Service], after: Sequence[Service]) -> bool:
    """Whether the impact or memory last measured before a remedy falls after it."""
    felt = [metric for metric in _HURTS if before[-1].number(metric) is not None]
    was, now = _levels(before, felt), _levels(after, felt)
    heals = bool(was and now) and was[-1] - min(now) > _RELIEF and was[-1] >= was[0] - _DRIFT
    was, now = _levels(before, [_MEMORY]), _levels(after, [_MEMORY])
    frees = bool(was and now) and was[-1] - min(now) > _RELIEF and was[-1] > was[0] + _DRIFT
    return heals or frees


def _levels(services: Sequence[Service], metrics: Sequence[str]) -> list[float]:
    """The sum of `metrics`, each as a share of its worst value; points that lack one are left out."""
    found = [[service.number(metric) for metric in metrics] for service in services]
    worst = [_HURTS.get(metric, 1.0) for metric in metrics]
    return [
        sum(min(value, most) / most for value, most in zip(values, worst, strict=True) if value is not None)
        for values in found
        if metrics and None not in values
    ]


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """Reads a labels file: `{"<task_id>" or "<difficulty>/<seed>" or "<incident_id>": [services]}`.

    Raises:
        SchemaError: the file cannot be read or has another form.
    """
    try:
        return _LABEL_FILE.validate_python(read_json(path.read_bytes()))
    except OSError as error:
        raise SchemaError(str(path), "", error.strerror, "give a readable labels file") from None
    except ValidationError as error:
        raise schema_error(error, str(path)) from None
    except NotJson as error:
        fix = 'give {"<task_id>", "<difficulty>/<seed>" or "<incident_id>": [services]}'
        raise SchemaError(str(path), "", str(error), fix) from None


def label_incidents(incidents: Iterable[Incident], known: KnownRoots) -> tuple[Incident, ...]:
    """Gives each incident the root causes known for its id; the others keep their own."""
    return tuple(
        replace(one, root_causes=known[one.incident_id]) if one.incident_id in known else one
        for one in incidents
    )


def apply_labels(episodes: Iterable[Episode], known: KnownRoots | None = None) -> tuple[Episode, ...]:
    """Labels every episode: from the file, else with its own labels, else from the effect of remedies."""
    return tuple(_labelled(episode, known or {}) for episode in episodes)


def _labelled(episode: Episode, known: KnownRoots) -> Episode:
    if episode.task.name in known:
        labels: Labels | None = Labels(root_causes=known[episode.task.name], origin="file")
    else:
        labels = episode.labels or label_from_outcome(episode)
    return episode.model_copy(update={"labels": labels})
