"""How often each service of one system raises which alerts, so that rare ones stand out.

On a list of alerts nothing says what is usual: some services complain whatever breaks. Past incidents of the
system say it, and need no label for that. A sign is a kind of alert at a service; its surprise is the
information in its being raised, the negative logarithm of how often it was (Spärck Jones, "A statistical
interpretation of term specificity", Journal of Documentation 1972, for words of documents).

Shapes: S services.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.errors import FirewatchError, SchemaError
from data.files.json_text import read_json
from data.files.whole_file import write_whole
from data.incident import ALERT_KINDS, AlertEvent, Incident
from data.observation import parse

Floats = npt.NDArray[np.float64]

FILE = "alert_frequencies.json"
MEAN = 1  # which of the surprises is an opinion by itself: the mean of five
SURPRISES = 3 + len(ALERT_KINDS)  # numbers that say how surprising a service's alerts are
_MOST = 5  # signs of a service that count: one may be chance, and many may have a single cause
_WINDOWS = 20  # past windows behind the shares that an incident brings along, which come without a number
_PRIOR = 0.5  # imagined incidents with a sign, and as many without, before the first real one
_MEND = "make the checkpoint again with 'firewatch train'"

Count = Annotated[int, Field(ge=0, le=10**9)]


class AlertFrequenciesError(FirewatchError):
    """A file of frequencies that is missing or damaged."""


class Sign(NamedTuple):
    """A kind of alert that a service raises now, and how often it did before."""

    name: str  # its kind of alert first
    raised: int  # past incidents in which the service raised it
    past: int  # past incidents of the service

    @property
    def surprise_nats(self) -> float:
        """How surprising it is, in nats."""
        return -math.log((self.raised + _PRIOR) / (self.past + 2 * _PRIOR))


class AlertFrequencies(BaseModel):
    """Counts the past incidents in which each service raised each kind of alert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Service → incidents with alerts that it was part of without being their root.
    past: Mapping[str, Count] = {}
    # Service → sign → those of them in which it was raised.
    raised: Mapping[str, Mapping[str, Count]] = {}

    @model_validator(mode="after")
    def _never_raised_in_absence(self) -> Self:
        for service, signs in self.raised.items():
            if any(count > self.past.get(service, 0) for count in signs.values()):
                raise ValueError(f"'{service}' is said to have raised a sign where it was not")
        return self

    @staticmethod
    def of(incidents: Iterable[Incident]) -> "AlertFrequencies":
        """Counts the alerts of past incidents; those of known root causes do not count as usual."""
        past: Counter[str] = Counter()
        raised: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for incident in incidents:
            if incident.alerts:
                victims = set(incident.services).difference(incident.root_causes)
                past.update(victims)
                for service, signs in raised_in(incident).items():
                    if service in victims:
                        raised[service].update(signs)
        return AlertFrequencies(past=past, raised=raised)

    @staticmethod
    def of_routine(incident: Incident) -> "AlertFrequencies":
        """What the incident itself says of other days, as if `_WINDOWS` of them had been watched."""
        raised: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for alert, share in incident.routine.items():
            raised[alert.service][_sign(alert)] = round(share * _WINDOWS)
        return AlertFrequencies(past=dict.fromkeys({*incident.services, *raised}, _WINDOWS), raised=raised)

    def with_routine(self, incident: Incident) -> Incident:
        """The incident with how usual each alert of a known service is; what it says itself comes second."""
        usual = {
            alert: (self.raised.get(alert.service, {}).get(_sign(alert), 0) + _PRIOR) / (past + 2 * _PRIOR)
            for alert in incident.alerts
            if (past := self.past.get(alert.service, 0))
        }
        return replace(incident, routine={**incident.routine, **usual})

    def knows(self, incident: Incident) -> float:
        """The share of the incident's services that are in a past one, 0..1."""
        return float(np.mean([name in self.past for name in incident.services])) if incident.services else 0.0

    def signs(self, service: str, names: Iterable[str], counted: bool = False) -> list[Sign]:
        """What a service raises, the most surprising first.

        Args:
            counted: the incident is one of the past ones and this service not its root; the others judge it.
        """
        raised, past, own = self.raised.get(service, {}), self.past.get(service, 0), int(counted)
        signs = (Sign(name, raised.get(name, 0) - own, past - own) for name in names)
        return sorted(signs, key=lambda sign: (-sign.surprise_nats, sign.name))

    def surprises(self, incident: Incident, counted: bool = False) -> Floats:
        """How surprising the alerts of each service are.

        Args:
            counted: it is one of the past incidents; it is judged by the others.

        Returns:
            In nats (S, 6): the most surprising sign, the mean of the five most surprising, the sum of all,
            and the mean of five of each kind of alert; of five a missing one counts 0.
        """
        rows = np.zeros((len(incident.services), SURPRISES))
        raised = raised_in(incident)
        for row, service in enumerate(incident.services):
            if names := raised.get(service):
                its = self.signs(service, names, counted and service not in incident.root_causes)
                nats = [sign.surprise_nats for sign in its]
                kinds = (
                    [s.surprise_nats for s in its if s.name.startswith(f"{kind} ")] for kind in ALERT_KINDS
                )
                rows[row] = nats[0], _mean(nats), sum(nats), *map(_mean, kinds)
        return rows


def _mean(nats: Sequence[float]) -> float:
    return sum(nats[:_MOST]) / _MOST


def raised_in(incident: Incident) -> dict[str, set[str]]:
    """Service → its signs: what it raises, each kind of alert once."""
    signs: defaultdict[str, set[str]] = defaultdict(set)
    for alert in incident.alerts:
        signs[alert.service].add(_sign(alert))
    return signs


def _sign(alert: AlertEvent) -> str:
    caller = f"by {alert.caller}" if alert.caller else None
    return " ".join(part for part in (alert.kind, alert.name, alert.direction, caller) if part)


def save_alert_frequencies(frequencies: AlertFrequencies, folder: Path) -> None:
    """Writes the counts as text that people can read."""
    text = json.dumps(frequencies.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    write_whole(folder / FILE, text + "\n")


def load_alert_frequencies(folder: Path) -> AlertFrequencies:
    """Reads what `save_alert_frequencies` wrote.

    Raises:
        AlertFrequenciesError: no such file, or a damaged one.
    """
    path = folder / FILE
    try:
        return parse(AlertFrequencies, read_json(path.read_bytes()), str(path))
    except FileNotFoundError:
        raise AlertFrequenciesError(f"{path} is missing – {_MEND}") from None
    except (OSError, ValueError) as error:
        raise AlertFrequenciesError(f"{path}: cannot be read as JSON ({error}) – {_MEND}") from None
    except SchemaError as error:
        raise AlertFrequenciesError(f"{error} ({_MEND})") from None
