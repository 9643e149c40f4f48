"""One system's vocabulary: its services, alerts and metrics as columns, learnt from its incidents.

Shapes: S services, V tokens, F service features.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data.incident import ALERT_KINDS, Incident
from gnn.features.nan_statistics import MAD_TO_SIGMA, nanmedian, share_below

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SUPPORT = 3  # a token gets a column if it occurs in at least so many incidents
_MOST = 3000  # columns; the most frequent tokens win


@dataclass(frozen=True)
class Vocabulary:
    """The names of one system; unknown names are ignored."""

    tokens: tuple[str, ...]
    services: tuple[str, ...]

    @staticmethod
    def of(incidents: Iterable[Incident]) -> "Vocabulary":
        """Every token that occurs in enough of `incidents`, and every service."""
        support: Counter[str] = Counter()
        services: set[str] = set()
        for incident in incidents:
            support.update({token for of_service in _tokens(incident) for token in of_service})
            services.update(incident.services)
        ordered = sorted(support, key=lambda token: (-support[token], token))[:_MOST]
        return Vocabulary(tuple(t for t in ordered if support[t] >= _SUPPORT), tuple(sorted(services)))

    @property
    def width(self) -> int:
        """Columns that describe a service: V + 8."""
        return len(self.tokens) + 2 * (1 + len(ALERT_KINDS))

    @cached_property
    def _column(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    @cached_property
    def _number(self) -> dict[str, int]:
        return {service: index for index, service in enumerate(self.services)}

    def numbers(self, incident: Incident) -> Ints:
        """Where each service of the incident is in `services`; unknown ones are one past its end: (S,)."""
        return np.array([self._number.get(name, len(self.services)) for name in incident.services], np.int64)

    def knows(self, incident: Incident) -> float:
        """The share of the incident's services that belong to the system, 0..1."""
        return float((self.numbers(incident) < len(self.services)).mean()) if incident.services else 0.0

    def rows(self, incident: Incident) -> tuple[Floats, Floats]:
        """Describes each service, and the whole incident, by the system's own names.

        Returns:
            (S, V + 8): tokens, order of the first alerts; and the means and maxima of these, (2·V + 16,).
        """
        counted = np.zeros((len(incident.services), len(self.tokens)))
        for row, tokens in enumerate(_tokens(incident)):
            for token, value in tokens.items():
                if (column := self._column.get(token)) is not None:
                    counted[row, column] = value
        rows = np.hstack([counted, _order(incident)])
        return rows, np.concatenate([rows.mean(axis=0), rows.max(axis=0)])


def _tokens(incident: Incident) -> list[dict[str, float]]:
    """For each service its tokens: log counts of alerts, deviations of metrics."""
    row = {service: index for index, service in enumerate(incident.services)}
    counts: list[Counter[str]] = [Counter() for _ in row]
    for alert in incident.alerts:
        own = row.get(alert.service)
        if alert.kind == "trace":
            caller = row.get(alert.caller) if alert.caller else None
            if own is not None:
                counts[own].update(
                    (
                        "trace called",
                        f"trace called {alert.direction}",
                        f"trace called {alert.direction} as {alert.name}",
                        f"trace called {alert.direction} by {alert.caller}",
                    )
                )
            if caller is not None and caller == own:
                counts[caller].update(("trace itself", f"trace itself {alert.direction}"))
            elif caller is not None:
                counts[caller].update(
                    (
                        "trace calling",
                        f"trace calling {alert.direction}",
                        f"trace calling {alert.direction} to {alert.service}",
                    )
                )
        elif own is not None:
            # `cpu_core_7` is also one of the `cpu_core_#`: which core it was may not matter.
            coarse = re.sub(r"\d+", "#", alert.name)
            kind = f"{alert.kind} any {alert.direction}"
            counts[own].update((f"{alert.kind} {alert.name} {alert.direction}", kind))
            if coarse != alert.name and alert.kind == "metric":
                counts[own][f"{alert.kind} {coarse} {alert.direction}"] += 1
    tokens = [{token: float(np.log1p(count)) for token, count in c.items()} for c in counts]
    for name, own_tokens in _deviations(incident).items():
        tokens[row[name]].update(own_tokens)
    return tokens


def _order(incident: Incident) -> Floats:
    """When each service first raises an alert, of any kind and of each, and its rank in that: (S, 8)."""
    first = np.ones((len(incident.services), 1 + len(ALERT_KINDS)))
    if incident.alerts:
        row = {service: index for index, service in enumerate(incident.services)}
        for position, alert in enumerate(incident.alerts):
            for name in {alert.service, alert.caller}:
                where = row.get(name) if name else None
                if where is not None and alert.kind in ALERT_KINDS:
                    for column in (0, 1 + ALERT_KINDS.index(alert.kind)):
                        first[where, column] = min(first[where, column], position / len(incident.alerts))
    return np.hstack([first, share_below(first)])


def _deviations(incident: Incident) -> dict[str, dict[str, float]]:
    """Service → token → how each of its metrics deviates from its own baseline, under its own name."""
    services = set(incident.services)
    named = [
        (service, metric, series)
        for service, metrics in incident.telemetry.items()
        if service in services
        for metric, series in metrics.items()
        if len(series.baseline) and len(series.incident)
    ]
    if not named:
        return {}
    past = _sorted([series.baseline for _, _, series in named])
    now = _sorted([series.incident for _, _, series in named])
    median = nanmedian(past, axis=1)
    level = np.abs(median)
    spread = np.maximum(MAD_TO_SIGMA * nanmedian(np.abs(past - median[:, None]), axis=1), 0.05 * level)
    known = np.isfinite(past)
    mean = np.where(known, past, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    deviation = np.where(known, past - mean[:, None], 0.0)
    sigma = np.sqrt((deviation**2).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
    z = np.arcsinh((now - median[:, None]) / np.maximum(np.maximum(spread, 0.3 * sigma), 1e-9)[:, None])
    seen = np.isfinite(z)
    points = seen.sum(axis=1)
    average = np.where(seen, z, 0.0).sum(axis=1) / np.maximum(points, 1)
    now_mean = np.where(seen, now, 0.0).sum(axis=1) / np.maximum(points, 1)
    ratio = np.arcsinh(now_mean / np.where(mean == 0, 1.0, np.abs(mean) + 1e-9))
    columns = {
        "mean": average,
        "max": np.where(seen, z, -np.inf).max(axis=1),
        "min": np.where(seen, z, np.inf).min(axis=1),
        "ratio": ratio,
    }
    out: dict[str, dict[str, float]] = {}
    for index, (service, metric, _) in enumerate(named):
        own = out.setdefault(service, {})
        if not known[index].any():
            continue
        if points[index]:
            own.update({f"series {metric} {name}": float(column[index]) for name, column in columns.items()})
        else:
            own[f"series {metric} gone"] = 1.0
    return out


def _sorted(series: Sequence[Floats]) -> Floats:
    """One row a series, sorted, NaN last."""
    block = np.full((len(series), max(map(len, series))), np.nan)
    for row, points in enumerate(series):
        block[row, : len(points)] = points
    return np.sort(block, axis=1)
