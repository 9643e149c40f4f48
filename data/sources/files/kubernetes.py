"""Kubernetes objects, and Kiali's call graph."""

from collections.abc import Mapping

from pydantic import AliasPath, BaseModel, Field

from data.files.json_stream import items
from data.sources.cluster import Cluster
from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered
from data.sources.recording import NOBODY


class KubernetesObjects:
    """`kubectl get deployments,replicasets,pods,events -o json`: owners, alerts and changes."""

    name = "Kubernetes objects"

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
            into.recording.owners[pod] = cluster.workload(pod)
        for one in cluster.happened:
            if one.is_rollout and one.time_s is not None:
                into.changes.setdefault(one.workload, []).append(one.time_s)


class _Node(BaseModel):
    id: str = Field(validation_alias=AliasPath("data", "id"))
    app: str | None = Field(None, validation_alias=AliasPath("data", "app"))
    workload: str | None = Field(None, validation_alias=AliasPath("data", "workload"))
    service: str | None = Field(None, validation_alias=AliasPath("data", "service"))
    is_box: str | None = Field(None, validation_alias=AliasPath("data", "isBox"))


class _Edge(BaseModel):
    source: str = Field(validation_alias=AliasPath("data", "source"))
    target: str = Field(validation_alias=AliasPath("data", "target"))
    response_ms: float | None = Field(None, validation_alias=AliasPath("data", "responseTime"))
    rates: dict[str, float] | None = Field(None, validation_alias=AliasPath("data", "traffic", "rates"))


class _Graph(BaseModel):
    timestamp: float | None = None
    nodes: tuple[_Node, ...] = Field((), validation_alias=AliasPath("elements", "nodes"))
    edges: tuple[_Edge, ...] = Field((), validation_alias=AliasPath("elements", "edges"))


class KialiGraph:
    """Kiali's graph: the calls, with their rates at one time."""

    name = "a Kiali graph"

    def recognises(self, head: Head) -> bool:
        return head.has("elements.nodes")

    def read(self, file: File, into: Gathered) -> None:
        for graph in file.each(_Graph):
            names = {
                node.id: node.app or node.service or node.workload or ""
                for node in graph.nodes
                if not node.is_box
            }
            for edge in graph.edges:
                self._take(edge, names, graph.timestamp, into)

    def _take(self, edge: _Edge, names: Mapping[str, str], time: float | None, into: Gathered) -> None:
        caller, callee, rates = names.get(edge.source, ""), names.get(edge.target, ""), edge.rates
        if caller in NOBODY or callee in NOBODY or caller == callee:
            return
        into.recording.call(caller, callee)
        if time is None or rates is None:
            return
        served = next((rates[name] for name in ("http", "grpc", "tcp") if name in rates), None)
        failed = next((rates[name] for name in ("httpPercentErr", "grpcPercentErr") if name in rates), None)
        told = {
            "request_rate": served,
            "error_rate": None if failed is None else failed / 100,
            "latency_caller_s": None if edge.response_ms is None else edge.response_ms / 1e3,
        }
        for name, value in told.items():
            if value is not None:
                into.recording.series((caller, callee), name, [time], [value])
