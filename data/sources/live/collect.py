"""Turns Prometheus' answers into a recording: names unified, each metric with its query."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from data.sources.combine import MetricPart, combine
from data.sources.live.names import Names, infrastructure
from data.sources.live.prometheus import Rows
from data.sources.live.queries import Query
from data.sources.recording import Recording, Whose
from data.sources.samples import Grid

# The parts that a metric is made of, and what it is a share of.
_BEHIND: Mapping[str, tuple[str, ...]] = {
    "error_rate": ("_failed", "request_rate"),
    "latency_mean_s": ("_seconds", "_timed", "request_rate"),
    "latency_caller_s": ("_seconds", "_timed", "request_rate"),
    "own_latency_s": ("_seconds", "_timed", "request_rate"),
    "latency_gap_s": ("_seconds", "_timed", "request_rate"),
    "latency_callee_s": ("_callee_seconds", "_callee_timed"),
    "unmatched_share": ("_unanswered", "request_rate"),
    "restarts": ("uptime_s",),
    "deploy_age_s": ("_version",),
}


class Answer(NamedTuple):
    """A query and its answer."""

    query: Query
    rows: Rows


class Told(NamedTuple):
    """The query behind a metric, and the labels of its series."""

    query: Query
    labels: Mapping[str, str]
    over: Query | None = None  # what it is a share of

    @property
    def promql(self) -> str:
        """The query for this one service or call alone."""
        wanted = self.query.labels
        if self.query.metric != "_version":
            wanted = (*wanted, self.query.callee)
        only = {label: self.labels[label] for label in wanted if self.labels.get(label)}
        text = self.query.promql(only)
        return f"{text} / {self.over.promql(only)}" if self.over else text


class _Told(NamedTuple):
    """One answer as a part, with the labels of each row."""

    query: Query
    labels: Sequence[Mapping[str, str]]
    part: MetricPart


class Questions:
    """The query behind each metric of a service or call."""

    def __init__(
        self, told: Iterable[_Told] = (), worst: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self._worst = worst or {}  # {caller: its call that fails most}
        self._told: dict[str, list[tuple[Query, dict[Whose, Mapping[str, str]]]]] = {}
        for query, labels, part in sorted(told, key=lambda one: one.query.rank):
            of = dict(zip(reversed(part.whose), reversed(labels), strict=True))  # the first counts
            self._told.setdefault(query.metric, []).append((query, of))

    def promql(self, whose: Whose, metric: str) -> str:
        """The query that shows a metric of one service or call alone, or ""."""
        told = self.get(whose, metric)
        return told.promql if told else ""

    def get(self, whose: Whose, metric: str) -> Told | None:
        """The query behind a metric, or behind the first of its parts, or None."""
        if metric == "client_error_rate":
            call = self._worst.get(whose) if isinstance(whose, str) else None
            return self.get(call, "error_rate") if call else None
        part, *wholes = _BEHIND.get(metric, (metric,))
        over = next((told for name in wholes if (told := self._first(whose, name))), None)
        for name in (metric, part, *wholes[-1:], "_generation"):
            if told := self._first(whose, name):
                same = over is not None and name == part and over.query.labels == told.query.labels
                return told._replace(over=over.query if over and same else None)
        return None

    def _first(self, whose: Whose, metric: str) -> Told | None:
        told = self._told.get(metric, ())
        return next((Told(query, labels[whose]) for query, labels in told if whose in labels), None)


def learn(names: Names, answers: Iterable[Answer]) -> None:
    """Learns names from all answers, before any is recorded."""
    for query, rows in answers:
        if query.metric != "request_rate":
            continue
        for labels in rows.labels:
            own = [labels.get(label, "") for label in query.labels]
            names.service(own[0])
            if len(own) > 1:
                names.pod(own[1], own[0])


def put_down(recording: Recording, answers: Iterable[Answer], names: Names, grid: Grid) -> Questions:
    """Adds the answers to a recording; returns the query behind each metric."""
    told = [_brought_together(query, rows, names) for query, rows in answers]
    worst = combine(recording, [one.part for one in told], grid)
    for name in recording.names:
        for pod in names.replicas(name):
            recording.call(name, pod)
    for pod, owner in names.owners(recording.names).items():
        recording.owners[pod] = owner
    return Questions(told, worst)


def _brought_together(query: Query, rows: Rows, names: Names) -> _Told:
    """The answer with the service or call of each row; other rows are left out."""
    whose = [_whose(query, labels, names) for labels in rows.labels]
    kept = [row for row, one in enumerate(whose) if one is not None]
    labels = [rows.labels[row] for row in kept]
    values = rows.values if len(kept) == len(whose) else rows.values[kept]
    is_version = query.metric == "_version"
    part = MetricPart(
        query.metric,
        [one for one in whose if one is not None],
        values,
        of_calls=bool(query.callee) and not is_version,
        rank=query.rank,
        merged=query.merged,
        least=query.least,
        versions=[one.get(query.callee, "") for one in labels] if is_version else (),
    )
    return _Told(query, labels, part)


def _whose(query: Query, labels: Mapping[str, str], names: Names) -> Whose | None:
    own = [labels.get(label, "") for label in query.labels]
    name = names.resolve(*own)
    if not name or infrastructure(name):
        return None
    if not query.callee or query.metric == "_version":
        return name
    callee = names.resolve(labels.get(query.callee, ""))
    return (name, callee) if callee and callee != name else None
