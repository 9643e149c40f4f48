"""Metric names and units of various monitoring systems, read from metric_naming.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Metric:
    """One metric as a system names it: `value = offset + factor × signal`."""

    name: str
    signal: str
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class MetricNaming:
    """The metrics of one monitoring system."""

    name: str
    metrics: tuple[Metric, ...]


@cache
def metric_namings() -> Mapping[str, MetricNaming]:
    """The monitoring systems by name; "firewatch" is the environment."""
    text = (resources.files("data.simulator.batch") / "metric_naming.toml").read_text(encoding="utf-8")
    return {
        system: MetricNaming(system, tuple(Metric(name, *told) for name, told in metrics.items()))
        for system, metrics in tomllib.loads(text).items()
    }
