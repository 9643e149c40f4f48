"""Queries Prometheus about one period, as far as it answers."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.channels import ChannelMap
from data.errors import TelemetryFault
from data.incident import AlertEvent
from data.sources import conventions
from data.sources.live.collect import Answer, Questions, learn, put_down
from data.sources.live.http import Http
from data.sources.live.names import Names, infrastructure
from data.sources.live.prometheus import Prometheus, grid_between, quoted
from data.sources.live.queries import By, Query, There, others, queries, to_ask_about
from data.sources.recording import Recording
from data.sources.samples import Grid
from data.words import few

Progress = Callable[[str], None]

_POINTS = 80  # of window and baseline together; more would hardly help
_USUAL_SCRAPE_S = 15.0
_WINDOWS = 672  # of the past in which alerts are looked up: a quarter of an hour each in a week
_FEWEST_WINDOWS = 4  # needed to call an alert routine


@dataclass(frozen=True)
class Question:
    """The period and services to ask about.

    Args:
        at_s: the end of the window, Unix seconds.
        window_s: seconds before it that hold the incident.
        baseline_s: seconds before those that are compared with.
        namespace: only this one; "" for all.
        by: what counts as one service.
        history_s: seconds before, for alerts that are routine.
    """

    at_s: float
    window_s: float
    baseline_s: float
    namespace: str = ""
    by: By = "service"
    history_s: float = 0.0

    @property
    def since_s(self) -> float:
        """Where the window begins."""
        return self.at_s - self.window_s

    @property
    def start_s(self) -> float:
        """Where the baseline begins."""
        return self.since_s - self.baseline_s

    @property
    def halves(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Beginning and end of the window, and of the baseline."""
        return (self.since_s, self.at_s), (self.start_s, self.since_s)


async def ask_prometheus(
    http: Http,
    question: Question,
    recording: Recording,
    names: Names,
    channels: ChannelMap,
    progress: Progress,
) -> Questions:
    """Fills a recording; returns the query behind each metric.

    Queries without an answer are noted in the recording.

    Raises:
        TelemetryFault: it does not even list its metrics.
    """
    prometheus = Prometheus(http, question.start_s, question.at_s)
    progress("Prometheus: listing metrics")
    there = There.named(await prometheus.metric_names())
    more = others(there, channels)
    wanted = dict.fromkeys((*to_ask_about(there), *more))
    asking = {name: _labels(prometheus, there.names[name], question.namespace) for name in wanted}
    labels = await _all(asking, recording, "labels")
    absent = {name for name, known in labels.items() if not known}  # from this namespace
    there = There({name: spelt for name, spelt in there.names.items() if name not in absent}, labels)
    if not any(labels.values()):
        where = f" in the namespace '{question.namespace}'" if question.namespace else ""
        recording.note(
            f"Prometheus has metrics of that time, but none that Firewatch knows{where}."
            if there.names
            else "Prometheus has no metrics of that time."
        )
        return Questions()
    scrape = await _scrape_interval(prometheus, there, recording)
    grid = grid_between(question.start_s, question.at_s, scrape, _POINTS)
    asked = queries(there, grid, question.by, question.namespace, more)
    await _who_is_who(prometheus, there, question, names, recording)
    done = 0

    async def ask(query: Query) -> Answer:
        nonlocal done
        rows = await prometheus.range(query.promql(), grid)
        done += 1
        progress(f"Prometheus: {done} of {len(asked)} questions answered")
        return Answer(query, rows)

    answers = await _all({query: ask(query) for query in asked}, recording)
    learn(names, answers.values())
    questions = put_down(recording, answers.values(), names, grid)
    await _alerts(prometheus, there, question, names, grid, recording)
    _tell_gaps(asked, prometheus, recording)
    return questions


async def _all(
    asked: Mapping[Any, Coroutine[Any, Any, Any]], recording: Recording, what: str = ""
) -> dict[Any, Any]:
    """All answers; the reasons for missing ones are noted, each reason once."""
    answers = await asyncio.gather(*asked.values(), return_exceptions=True)
    found: dict[Any, Any] = {}
    missing: dict[str, list[str]] = {}
    for key, answer in zip(asked, answers, strict=True):
        if isinstance(answer, TelemetryFault):
            name = key.metric.lstrip("_") if isinstance(key, Query) else str(key)
            missing.setdefault(str(answer), []).append(name)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[key] = answer
    for reason, keys in missing.items():
        recording.note(f"Missing: {what + ' of ' if what else ''}{few(keys, 5)}. {reason}.")
    return found


async def _labels(prometheus: Prometheus, name: str, namespace: str) -> frozenset[str]:
    """The labels of a metric in one namespace; none if only other namespaces have it."""
    if not namespace:
        return await prometheus.label_names(_selector(name))
    inside = [f"{_selector(name)[:-1]},{label}={quoted(namespace)}}}" for label in conventions.NAMESPACE]
    found = await prometheus.label_names(*inside)
    if not found:
        anywhere = await prometheus.label_names(_selector(name))
        return anywhere if anywhere.isdisjoint(conventions.NAMESPACE) else found
    return found


def _selector(name: str) -> str:
    """A selector for a metric that works in all versions, with or without dots."""
    return f'{{__name__="{name}"}}'


async def _scrape_interval(prometheus: Prometheus, there: There, recording: Recording) -> float:
    for name in ("up", *there.labels):
        if name in there.names:
            try:
                found = await prometheus.scrape_interval_s(_selector(there.names[name]))
            except TelemetryFault as fault:
                recording.note(f"Missing: the scrape interval; {_USUAL_SCRAPE_S:g} s is assumed. {fault}.")
                return _USUAL_SCRAPE_S
            if found:
                return found
    return _USUAL_SCRAPE_S


async def _who_is_who(
    prometheus: Prometheus, there: There, question: Question, names: Names, recording: Recording
) -> None:
    """Learns names from targets and from Kubernetes' owners."""
    span = f"[{max(round(question.at_s - question.start_s), 1)}s]"
    asked = {
        name: prometheus.instant(f"last_over_time({there.names[name]}{span})")
        for name in ("kube_replicaset_owner", "kube_pod_owner", "kube_pod_info", "up")
        if name in there.names
    }
    recorded = "namespace_workload_pod:kube_pod_owner:relabel"
    if recorded in there.names:
        asked[recorded] = prometheus.instant(f"last_over_time({recorded}{span})")
    found = await _all(asked, recording)
    for labels, _ in found.get(recorded, ()):
        names.pod(labels.get("pod", ""), labels.get("workload", ""))
    deployment = {
        labels.get("replicaset", ""): labels.get("owner_name", "")
        for labels, _ in found.get("kube_replicaset_owner", ())
        if labels.get("owner_kind") == "Deployment"
    }
    for labels, _ in found.get("kube_pod_owner", ()):
        owner = labels.get("owner_name", "")
        names.pod(labels.get("pod", ""), deployment.get(owner, owner))
    for labels, _ in found.get("kube_pod_info", ()):
        pod = labels.get("pod", "")
        names.address(labels.get("pod_ip", ""), names.resolve(pod), pod)
    for labels, _ in found.get("up", ()):
        service = next((labels[label] for label in conventions.SERVICE if labels.get(label)), "")
        pod = next((labels[label] for label in conventions.POD if labels.get(label)), "")
        if not infrastructure(service):
            names.pod(pod, service)
            names.address(labels.get("instance", ""), service, pod)


async def _alerts(
    prometheus: Prometheus, there: There, question: Question, names: Names, grid: Grid, recording: Recording
) -> None:
    """Adds the alerts raised now, and how often each was raised in past windows."""
    if "ALERTS" not in there.names:
        return
    firing = 'ALERTS{alertstate="firing"}'
    step = max(question.window_s, question.history_s / _WINDOWS)
    span = f"[{max(round(step), 1)}s]"
    before = question.since_s
    past = Grid(before - step * int(question.history_s / step), before, step, step)
    asked = {"alerts": prometheus.range(firing, grid)}
    if question.history_s > step:
        asked["past alerts"] = prometheus.range(f"max_over_time({firing}{span})", past)
        asked["length of the past"] = prometheus.range(f"max(max_over_time(up{span}))", past)
    found = await _all(asked, recording)
    times = grid.times_s
    for labels, values in zip(*found.get("alerts", ()), strict=True):
        event = _event(labels, names)
        raised = np.flatnonzero(np.isfinite(values) & (times >= before))
        if event and raised.size:
            recording.alert(event, float(times[raised[0]]))
    length = found.get("length of the past")
    windows = int(np.isfinite(length.values).sum()) if length else 0
    if windows < _FEWEST_WINDOWS:
        return
    raised_in: dict[AlertEvent, Any] = {}
    for labels, values in zip(*found.get("past alerts", ()), strict=True):
        event = _event(labels, names)
        if event:
            raised_in[event] = np.fmax(raised_in.get(event, np.nan), values)
    for event, values in raised_in.items():
        recording.routines[event] = min(float(np.isfinite(values).sum()) / windows, 1.0)


def _event(labels: Mapping[str, str], names: Names) -> AlertEvent | None:
    service = next((labels[label] for label in conventions.SERVICE if labels.get(label)), "")
    pod = next((labels[label] for label in conventions.POD if labels.get(label)), "")
    name = names.resolve(service, pod)
    return AlertEvent(name, "metric", labels.get("alertname", "")) if name else None


def _tell_gaps(asked: Sequence[Query], prometheus: Prometheus, recording: Recording) -> None:
    """Notes what this Prometheus lacks."""
    of_services = {query.metric for query in asked if not query.callee}
    if "request_rate" not in of_services:
        recording.note("Prometheus has no request metrics that Firewatch knows.")
    elif "latency_p99_s" not in of_services:
        recording.note("Prometheus has no histogram buckets: mean durations are used instead of percentiles.")
    if not any(query.callee and query.metric == "request_rate" for query in asked):
        recording.note(
            "Nothing in Prometheus says who calls whom: a service graph, a mesh or traces "
            "(--jaeger, --tempo) would."
        )
    for warning in prometheus.warnings:
        recording.note(f"Prometheus warns: {warning}")
