"""Resources, changes and alerts of services, from metrics under their own names."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from data.arrays import Floats
from data.incident import AlertEvent
from data.sources.combine import MetricPart, combine
from data.sources.conventions import GENERATION, RESOURCES, SCALE, SERVICE, WORKLOAD, Resource
from data.sources.recording import Recording
from data.sources.requests import QUANTILES, bound_of, quantile, request_parts
from data.sources.samples import Grid, Labels, Sample, Samples, added, alerted_service, meets
from data.words import few

_TOLD = 5  # labels
# Metrics of monitoring itself and of language runtimes, which say nothing about a service.
_OWN = (
    "scrape_", "prometheus_", "promhttp_", "go_", "python_gc_", "python_info", "kube_", "ALERTS",
    "container_",
)  # fmt: skip


def fill(samples: Samples, recording: Recording) -> None:
    """Adds series to `recording`: by the conventions, and the rest under their own names."""
    grid = samples.grid()
    if grid is None:
        return
    if grid.n == 1:
        recording.note("With one value per metric, counters say nothing. Give more scrapes, or a range.")
    used: set[str] = set()
    parts = [*request_parts(samples, grid, used), *_resource_parts(samples, grid, used)]
    combine(recording, [*parts, *_change_parts(samples, grid)], grid)
    _tell_alerts(samples, recording)
    _tell_rest(samples, grid, recording, used)


def _resource_parts(samples: Samples, grid: Grid, used: set[str]) -> Iterator[MetricPart]:
    for rank, resource in enumerate(RESOURCES):
        used |= {name for name, _ in samples.named(resource.name)}
        rows = _rows(samples, grid, resource, resource.name)
        if resource.over:
            over = _rows(samples, grid, resource, resource.over)
            rows = {s: _compared(resource, rows[s], over[s]) for s in rows.keys() & over.keys()}
        if rows:
            yield MetricPart(resource.metric, tuple(rows), np.array([*rows.values()]), rank=rank)


def _change_parts(samples: Samples, grid: Grid) -> Iterator[MetricPart]:
    """A deployment's generation and its scale, which moves the generation, too."""
    for metric, name in (("_generation", GENERATION), ("_scale", SCALE)):
        told = [(s.labels.get("deployment", ""), grid.values(s)) for _, s in samples.named(name)]
        rows = [(service, values) for service, values in told if service]
        if rows:
            yield MetricPart(
                metric, [service for service, _ in rows], np.array([values for _, values in rows])
            )


def _rows(samples: Samples, grid: Grid, resource: Resource, name: str) -> dict[str, Floats]:
    rows: dict[str, list[Floats]] = defaultdict(list)
    for _, sample in samples.named(name):
        service = samples.service(sample.labels, resource.service)
        if service is not None and meets(sample.labels, resource.where):
            values = grid.rate(sample) if resource.form == "rate" else grid.values(sample)
            rows[service].append(grid.times_s - values if resource.form == "age" else values)
    return {service: _together(resource.form, several, grid.n) for service, several in rows.items()}


def _together(form: str, rows: list[Floats], n: int) -> Floats:
    if form in ("min", "age"):
        return np.asarray(np.fmin.reduce(rows))
    return np.asarray(np.fmax.reduce(rows)) if form == "max" else added(rows, n)


def _compared(resource: Resource, values: Floats, over: Floats) -> Floats:
    if resource.minus:
        return np.asarray(over - values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(over > 0, values / over, np.nan)


def _tell_alerts(samples: Samples, recording: Recording) -> None:
    """Adds alerts, as Prometheus keeps them in `ALERTS`."""
    for _, sample in samples.named("ALERTS"):
        service = alerted_service(sample.labels, samples)
        if service and sample.labels.get("alertstate", "firing") == "firing":
            first = min(float(times.min()) for times, _ in sample.pieces) if sample.pieces else None
            recording.alert(AlertEvent(service, "metric", sample.labels.get("alertname", "alert")), first)


def _tell_rest(samples: Samples, grid: Grid, recording: Recording, used: set[str]) -> None:
    """Adds metrics without a convention under their own names: counters as rates, histograms as quantiles."""
    strangers: dict[str, Labels] = {}
    for name in samples.names:
        if name in used or name.startswith(_OWN):
            continue
        by_service: dict[str, list[Sample]] = defaultdict(list)
        for _, sample in samples.named(name):
            service = samples.service(sample.labels, SERVICE) or samples.service(sample.labels, WORKLOAD)
            if service is not None:
                by_service[service].append(sample)
            elif not recording.names:
                strangers.setdefault(name, sample.labels)
        for service, several in by_service.items():
            for metric, values in _own_named(name, several, grid, samples):
                if np.isfinite(values).any():
                    recording.series(service, metric, grid.times_s, values)
    for name, labels in () if recording.names else [*strangers.items()][:1]:
        known = few(labels, _TOLD) or "none"
        recording.note(f"{name} names no service: its labels are {known}; call the right one 'service'")


def _own_named(
    name: str, several: list[Sample], grid: Grid, samples: Samples
) -> Iterable[tuple[str, Floats]]:
    if name.endswith("_bucket"):
        buckets: dict[float, list[Floats]] = defaultdict(list)
        for sample in several:
            bound = bound_of(sample.labels.get("le", "inf"))
            if bound is not None and bound == bound:
                buckets[bound].append(grid.rate(sample))
        if not buckets:
            return
        for suffix, share in QUANTILES.items():
            yield f"{name.removesuffix('_bucket')}_{suffix.split('_')[1]}", quantile(share, buckets, grid.n)
    elif name.endswith(("_total", "_count")):
        yield name, added([grid.rate(sample) for sample in several], grid.n)
    elif not name.endswith(("_sum", "_created")):
        rows = [grid.values(sample) for sample in several]
        known = np.isfinite(rows).sum(axis=0)
        with np.errstate(invalid="ignore"):
            yield name, added(rows, grid.n) / known
