"""Root causes of episodes: told from elsewhere in a file, or inferred from what the remedies did."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from data.episodes import Episode, Labels, is_remedy
from data.errors import SchemaError
from data.observation import Observation, Service

# A remedy answers for this many ticks after it, or until another service is remedied.
RECOVERY_TICKS = 3
_RELIEF = 0.05  # a fall of hurt or memory that counts as recovery
_DRIFT = 0.02  # a change within one tick that is more than noise

_LABEL_FILE = TypeAdapter(dict[str, tuple[str, ...]])


def label_from_outcome(episode: Episode) -> Labels | None:
    """The services whose remedy was followed by recovery; None when no remedy was.

    Recovery is a fall of the service's own errors or latency that had not begun before the remedy, or a fall
    of its memory where memory had been rising. So victims that recover after another service's remedy get no
    credit, nor does an innocent whose memory falls because it was scaled.
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
    first, now = before[0], before[-1]
    was_healing = _hurt(now) < _hurt(first) - _DRIFT
    heals = _hurt(now) - min(map(_hurt, after)) > _RELIEF
    was_leaking = now.memory_utilization > first.memory_utilization + _DRIFT
    frees = now.memory_utilization - min(service.memory_utilization for service in after) > _RELIEF
    return (heals and not was_healing) or (frees and was_leaking)


def _hurt(service: Service) -> float:
    """What callers feel, 0..2: the error rate, and five seconds at p99 as bad as every request failing."""
    return service.error_rate + min(service.latency_p99_s, 5.0) / 5.0


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """Reads a labels file: `{"<task_id>" or "<difficulty>/<seed>": [services]}`.

    Raises:
        SchemaError: the file cannot be read or is of another form.
    """
    try:
        return _LABEL_FILE.validate_json(path.read_bytes())
    except OSError as error:
        raise SchemaError(str(path), "", error.strerror, "give a readable labels file") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise SchemaError(str(path), field, first["input"], first["msg"]) from None


def apply_labels(
    episodes: Iterable[Episode], known: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Episode, ...]:
    """Gives every episode the best label there is: the file's, else its own, else the outcome's."""
    return tuple(_labelled(episode, known or {}) for episode in episodes)


def _labelled(episode: Episode, known: Mapping[str, tuple[str, ...]]) -> Episode:
    if episode.task.name in known:
        labels: Labels | None = Labels(root_causes=known[episode.task.name], origin="file")
    else:
        labels = episode.labels or label_from_outcome(episode)
    return episode.model_copy(update={"labels": labels})
