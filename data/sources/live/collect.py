"""Answers of Prometheus → a recording: parts put together, names brought to one, each with its question."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from data.incident import Floats
from data.sources.live import derive
from data.sources.live.names import Names, infrastructure
from data.sources.live.prometheus import Grid, Row
from data.sources.live.queries import Query
from data.sources.recording import Recording

Whose = str | tuple[str, str]  # a service, or the caller and callee of a call

_Parts = dict[str, dict[int, Floats]]  # {metric: {rank of what told it: (T,)}}
# What a metric was made of, and what it is a share of.
_BEHIND: Mapping[str, tuple[str, ...]] = {
    "error_rate": ("_failed", "request_rate"),
    "latency_mean_s": ("_seconds", "_timed", "request_rate"),
    "latency_caller_s": ("_seconds", "_timed", "request_rate"),
    "own_latency_s": ("_seconds", "_timed", "request_rate"),
    "latency_gap_s": ("_seconds", "_timed", "request_rate"),
    "latency_callee_s": ("_callee_seconds", "_callee_timed"),
    "unmatched_share": ("request_rate",),
    "restarts": ("uptime_s",),
    "deploy_age_s": ("_version",),
    "client_error_rate": ("",),
}


class Told(NamedTuple):
    """The question that told a metric, and the labels of the series that did."""

    query: Query
    labels: Mapping[str, str]
    over: Query | None = None  # what it is a share of

    @property
    def promql(self) -> str:
        """The question about this one service or call alone."""
        wanted = self.query.labels
        if self.query.metric != "_version":
            wanted = (*wanted, self.query.callee)
        only = {label: self.labels[label] for label in wanted if self.labels.get(label)}
        text = self.query.promql(only)
        return f"{text} / {self.over.promql(only)}" if self.over else text


Questions = dict[tuple[Whose, str], Told]  # {(whose, metric): what told it}


class Answer(NamedTuple):
    """A question and what Prometheus says to it."""

    query: Query
    rows: Sequence[Row]


def learn(names: Names, answers: Iterable[Answer]) -> None:
    """Tells who is who from all answers, before any is put down."""
    for query, rows in answers:
        if query.metric.startswith("_") or query.metric != "request_rate":
            continue
        for row in rows:
            own = [row.labels.get(label, "") for label in query.labels]
            names.service(own[0])
            if len(own) > 1:
                names.pod(own[1], own[0])


def put_down(recording: Recording, answers: Iterable[Answer], names: Names, grid: Grid) -> Questions:
    """Tells a recording what the answers come to; the question behind each metric."""
    sorted_ = _Sorted()
    for query, rows in answers:
        sorted_.take(query, rows, names)
    served, called = sorted_.values(grid)
    for callee, pairs in _by_end(called, 1).items():
        derive.compare([called[pair] for pair in pairs], served.get(callee, {}), grid.rate_s)
    worst: dict[str, tuple[str, str]] = {}  # {caller: its call that fails most}
    for caller, pairs in _by_end(called, 0).items():
        if caller not in served:
            continue
        calls = [called[pair] for pair in pairs]
        if (own := derive.own_latency(served[caller], calls)) is not None:
            served[caller]["own_latency_s"] = own
        if (failing := derive.failing_calls(calls)) is not None:
            served[caller]["client_error_rate"] = failing
            worst[caller] = max(pairs, key=lambda pair: np.fmax.reduce(called[pair]["error_rate"]))
    questions: Questions = {}
    times = grid.times_s
    for pair, values in called.items():
        recording.call(*pair)
        for metric, one in values.items():
            if np.isfinite(one).any():
                recording.call_series(*pair, metric, times, one)
                sorted_.note_question(questions, pair, metric)
    for service, values in served.items():
        if "latency_p50_s" in values and "latency_p99_s" in values:
            values.pop("latency_mean_s", None)  # tells the same
        for metric, one in values.items():
            if np.fmax.reduce(one) >= sorted_.least.get(metric, -np.inf):  # false where nothing is known
                recording.series(service, metric, times, one)
                sorted_.note_question(questions, service, metric)
        if service in worst and (told := questions.get((worst[service], "error_rate"))):
            questions[service, "client_error_rate"] = told
    for name in recording.names:
        for pod in names.replicas(name):
            recording.call(name, pod)
    for pod, owner in names.owners(recording.names).items():
        recording.owner(pod, owner)
    return questions


class _Sorted:
    """The rows of all answers by whose they are, each still as its convention has it."""

    def __init__(self) -> None:
        self.least: dict[str, float] = {}  # of a metric: what stays below says nothing
        self._parts: dict[Whose, _Parts] = defaultdict(lambda: defaultdict(dict))
        self._behind: Questions = {}
        self._versions: dict[str, dict[str, derive.Bools]] = defaultdict(dict)
        # Conventions that count failures, whether or not there were any: of calls or not, and their rank.
        self._failures: set[tuple[bool, int]] = set()

    def take(self, query: Query, rows: Iterable[Row], names: Names) -> None:
        """One answer."""
        if query.least:
            self.least[query.metric] = query.least
        if query.metric == "_failed":
            self._failures.add((bool(query.callee), query.rank))
        for row in rows:
            whose = _whose(query, row.labels, names)
            if whose is None:
                continue
            first = self._behind.get((whose, query.metric))
            if first is None or query.rank < first.query.rank:
                self._behind[whose, query.metric] = Told(query, row.labels)
            if query.metric == "_version" and isinstance(whose, str):
                versions, version = self._versions[whose], row.labels.get(query.callee, "")
                versions[version] = versions.get(version, False) | np.isfinite(row.values)
                continue
            ranks = self._parts[whose][query.metric]
            known = ranks.get(query.rank)
            ranks[query.rank] = row.values if known is None else _merged(known, row.values, query.merged)

    def values(self, grid: Grid) -> tuple[dict[str, derive.Values], dict[tuple[str, str], derive.Values]]:
        """What they come to: of services, and of calls."""
        served: dict[str, derive.Values] = {}
        called: dict[tuple[str, str], derive.Values] = {}
        for whose, metrics in self._parts.items():
            is_call = isinstance(whose, tuple)
            asked = any((is_call, rank) in self._failures for rank in _ranks(metrics))
            values = derive.requests(_believed(metrics), asked, grid.rate_s)
            if isinstance(whose, tuple):
                if "latency_mean_s" in values:
                    values["latency_caller_s"] = values.pop("latency_mean_s")
                called[whose] = values
                continue
            if "uptime_s" in values:
                values.setdefault("restarts", derive.restarts(values["uptime_s"]))
            changed = _changed(metrics, self._versions.get(whose))
            if changed is not None and changed.any():
                values["deploy_age_s"] = derive.age(changed, grid.step_s)
            served[whose] = values
        return served, called

    def note_question(self, questions: Questions, whose: Whose, metric: str) -> None:
        """What told a metric, or the first of its parts."""
        part, *wholes = _BEHIND.get(metric, (metric,))
        over = next((told for name in wholes if (told := self._behind.get((whose, name)))), None)
        for name in (metric, part, "_generation") if part else ():
            if told := self._behind.get((whose, name)):
                same = over is not None and name == part and over.query.labels == told.query.labels
                questions[whose, metric] = told._replace(over=over.query if over and same else None)
                return


def _whose(query: Query, labels: Mapping[str, str], names: Names) -> Whose | None:
    own = [labels.get(label, "") for label in query.labels]
    name = names.resolve(*own)
    if not name or infrastructure(name):
        return None
    if not query.callee or query.metric == "_version":
        return name
    callee = names.resolve(labels.get(query.callee, ""))
    return (name, callee) if callee and callee != name else None


def _merged(one: Floats, other: Floats, how: str) -> Floats:
    if how == "max":
        return np.fmax(one, other)
    return np.where(np.isfinite(one) & np.isfinite(other), one + other, np.fmax(one, other))


def _ranks(metrics: _Parts) -> list[int]:
    """The convention that is believed about requests: the first that counts them."""
    return sorted(metrics.get("request_rate", {}))[:1]


def _believed(metrics: _Parts) -> dict[str, Floats]:
    """Of each metric one: requests all from the same convention, as far as it has them."""
    preferred = _ranks(metrics)
    counted = ("request_rate", "_failed", "_seconds", "_timed")
    found = {}
    for metric, ranks in metrics.items():
        if preferred and metric in counted:
            if preferred[0] in ranks:
                found[metric] = ranks[preferred[0]]
        else:
            found[metric] = ranks[min(ranks)]
    return found


def _changed(metrics: _Parts, versions: Mapping[str, derive.Bools] | None) -> derive.Bools | None:
    """Where what runs was changed; scaling changes nothing."""
    changed = derive.replaced(versions) if versions else None
    for generation in metrics.get("_generation", {}).values():
        grown = derive.moved(generation)
        for scale in metrics.get("_scale", {}).values():
            grown &= ~derive.moved(scale)
        changed = grown if changed is None else changed | grown
    return changed


def _by_end(pairs: Iterable[tuple[str, str]], end: int) -> dict[str, list[tuple[str, str]]]:
    """Calls by their caller (0) or their callee (1)."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in pairs:
        found[pair[end]].append(pair)
    return found
