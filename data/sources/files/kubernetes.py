"""What Kubernetes and its meshes tell: objects of the cluster, and Kiali's graph of who calls whom."""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from data.files.json_stream import items
from data.observation import parse
from data.sources.cluster import Cluster
from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered
from data.sources.recording import NOBODY


class KubernetesObjects:
    """`kubectl get deployments,replicasets,pods,events -o json`: owners, alerts and changes."""

    name = "objects of Kubernetes"

    def recognises(self, head: Head) -> bool:
        return any(
            head.has(f"{place}{name}")
            for place in ("items[].", "")
            for name in ("involvedObject", "regarding", "metadata.ownerReferences", "spec.template")
        )

    def read(self, file: File, into: Gathered) -> None:
        is_list = file.head.has("items")
        cluster = Cluster(into.samples.workload)
        with file.open() as stream:
            cluster.take(items(stream, file.where, "items[]" if is_list else ""), file.where)
        into.samples.workloads.update(cluster.owners)
        for event, when in cluster.alerts():
            into.recording.alert(event, when)
        for pod in cluster.owners:
            into.recording.owner(pod, cluster.workload(pod))
        for one in cluster.happened:
            if one.is_rollout and one.time_s is not None:
                into.changes.setdefault(one.workload, []).append(one.time_s)


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
