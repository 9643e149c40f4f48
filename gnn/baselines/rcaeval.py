"""RCAEval's own baselines, from its package, for comparison with ours."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from data.channels import ChannelMap
from data.extras import needs
from data.incident import Incident
from gnn.baselines.scoring import ScoringRanker

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("nsigma", "baro")
# From logs and spans; these methods were published for metrics alone.
_NO_METRICS = frozenset(
    {"log_count", "log_err_count", "trace_error_count", "trace_latency", "request_rate", "error_rate"}
    | {"latency_p50_s", "latency_p99_s", "own_latency_s"}
)
_MEGA = 1e6  # their preparation, like our reader of their cases, converts memory to MB


def their_method(name: str) -> Callable[..., dict[str, Any]]:
    """One of `METHODS` from their package.

    Raises:
        SettingsError: the extra is not installed.
    """
    with needs("rcaeval"), warnings.catch_warnings():
        from RCAEval.e2e import baro as of_baro
        from RCAEval.e2e import nsigma

    found: dict[str, Callable[..., dict[str, Any]]]
    found = {"nsigma": nsigma, "baro": getattr(of_baro, "baro", of_baro)}
    return found[name]


def their_ranker(name: str) -> ScoringRanker:
    """One of `METHODS` as a ranker: a service takes the rank of its first column; others come last.

    Raises:
        SettingsError: the extra is not installed.
    """
    method = their_method(name)

    def scores(incident: Incident, _: ChannelMap) -> dict[str, float]:
        frame, service_of = _frame(incident)
        found = dict.fromkeys(incident.services, -float(len(service_of)))
        if service_of and {True, False} == set(frame["time"] < 0):
            columns = method(frame, inject_time=0, dataset="re1-ob")["ranks"]
            for place, column in reversed(list(enumerate(columns))):
                found[service_of[column]] = -float(place)
        return found

    return ScoringRanker(f"rcaeval-{name}", scores)


def _frame(incident: Incident) -> tuple["pd.DataFrame", dict[str, str]]:
    """One row per point, with the incident from time 0 on; and the service of each column."""
    import pandas as pd

    rows = [series for metrics in incident.telemetry.values() for series in metrics.values()]
    before = max((len(series.baseline) for series in rows), default=0)
    after = max((len(series.incident) for series in rows), default=0)
    columns: dict[str, Any] = {"time": np.arange(-before, after)}
    service_of = {}
    for service, metrics in incident.telemetry.items():
        for metric, series in metrics.items():
            if metric not in _NO_METRICS:
                values = np.full(before + after, np.nan)
                values[before - len(series.baseline) : before] = series.baseline
                values[before : before + len(series.incident)] = series.incident
                column = f"{service}_{metric}"
                columns[column] = values * _MEGA if metric == "mem" else values
                service_of[column] = service
    return pd.DataFrame(columns).ffill().fillna(0), service_of
