"""What Kubernetes and its meshes tell: events of the cluster, and Kiali's graph of who calls whom."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from data.files.json_stream import items
from data.incident import AlertEvent
from data.observation import parse
from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered
from data.sources.recording import NOBODY
from data.sources.times import seconds

_CHANGE = "ScalingReplicaSet"  # of a Deployment: that it rolls out
_GROWS_FROM_ZERO = "from 0"  # another ReplicaSet begins: a rollout, not a change of scale


class _Object(BaseModel):
    kind: str = ""
    name: str = ""


class _Event(BaseModel):
    involvedObject: _Object | None = None
    regarding: _Object | None = None  # events.k8s.io/v1
    reason: str = ""
    message: str | None = None
    note: str | None = None
    type: str = "Normal"
    firstTimestamp: str | None = None
    lastTimestamp: str | None = None
    eventTime: str | None = None
    metadata: dict[str, Any] = {}


class KubernetesEvents:
    """`kubectl get events -o json`: warnings are alerts, a rollout is a change."""

    name = "events of Kubernetes"

    def recognises(self, head: Head) -> bool:
        return any(
            head.has(f"{place}{name}")
            for place in ("items[].", "")
            for name in ("involvedObject", "regarding")
        )

    def read(self, file: File, into: Gathered) -> None:
        is_list = file.head.has("items")
        with file.open() as stream:
            for raw in items(stream, file.where, "items[]" if is_list else ""):
                event = parse(_Event, raw, file.where)
                about = event.involvedObject or event.regarding or _Object()
                if about.kind == "Node":
                    continue
                service = into.samples.workload(about.name)
                if about.kind == "ReplicaSet":  # its name ends with a hash
                    service = (
                        service.rpartition("-")[0] if service == about.name and "-" in service else service
                    )
                when = seconds(
                    event.firstTimestamp or event.eventTime or event.metadata.get("creationTimestamp")
                )
                text = event.message or event.note or ""
                if event.type == "Warning" and service:
                    into.recording.alert(AlertEvent(service, "metric", event.reason or "Warning"), when)
                elif (
                    event.reason == _CHANGE
                    and when is not None
                    and (_GROWS_FROM_ZERO in text or "from" not in text)
                ):
                    into.changes.setdefault(service, []).append(when)


class _NodeData(BaseModel):
    id: str
    nodeType: str = ""
    app: str | None = None
    workload: str | None = None
    service: str | None = None
    isBox: str | None = None


class _Traffic(BaseModel):
    protocol: str = ""
    rates: dict[str, float] = {}


class _EdgeData(BaseModel):
    source: str
    target: str
    responseTime: float | None = None  # ms
    traffic: _Traffic | None = None


class _Node(BaseModel):
    data: _NodeData


class _Edge(BaseModel):
    data: _EdgeData


class _Elements(BaseModel):
    nodes: tuple[_Node, ...] = ()
    edges: tuple[_Edge, ...] = ()


class _Graph(BaseModel):
    timestamp: float | None = None
    elements: _Elements = Field(default_factory=_Elements)


class KialiGraph:
    """Kiali's graph: the calls, and what they were like when it was drawn."""

    name = "a graph of Kiali"

    def recognises(self, head: Head) -> bool:
        return head.has("elements.nodes")

    def read(self, file: File, into: Gathered) -> None:
        with file.open() as stream:
            for raw in items(stream, file.where):
                graph = parse(_Graph, raw, file.where)
                names = {
                    node.data.id: node.data.app or node.data.service or node.data.workload or ""
                    for node in graph.elements.nodes
                    if not node.data.isBox
                }
                for edge in graph.elements.edges:
                    self._take(edge.data, names, graph.timestamp, into)

    def _take(self, edge: _EdgeData, names: Mapping[str, str], time: float | None, into: Gathered) -> None:
        caller, callee = names.get(edge.source, ""), names.get(edge.target, "")
        if caller in NOBODY or callee in NOBODY or caller == callee:
            return
        into.recording.call(caller, callee)
        if time is None or edge.traffic is None:
            return
        rates = edge.traffic.rates
        told = {
            "request_rate": next((rates[name] for name in ("http", "grpc", "tcp") if name in rates), None),
            "error_rate": next(
                (rates[n] / 100 for n in ("httpPercentErr", "grpcPercentErr") if n in rates), None
            ),
            "latency_caller_s": edge.responseTime / 1e3 if edge.responseTime is not None else None,
        }
        for name, value in told.items():
            if value is not None:
                into.recording.call_series(caller, callee, name, [time], [value])
