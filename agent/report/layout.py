"""Places the services of a call graph in layers, from callers on the left to callees on the right."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import networkx as nx

COLUMN, ROW = 200, 54  # distances
BOX = (160, 40)  # width and height of a service
_MARGIN = 24
_TALLEST = 10  # most services in a column; a layer may take several columns
_SWEEPS = 4  # enough for a few dozen services


@dataclass(frozen=True)
class Layout:
    """The upper left corner of each service's box, and the size of the drawing."""

    corners: Mapping[str, tuple[int, int]]
    width: int
    height: int


def layered(services: Collection[str], call_graph: Mapping[str, Sequence[str]]) -> Layout:
    """Places `services`, with every caller to the left of its callees, except in a cycle."""
    graph = nx.DiGraph()
    graph.add_nodes_from(sorted(services))
    graph.add_edges_from(calls_among(services, call_graph))
    columns = [
        layer[start : start + _TALLEST]
        for layer in _ordered(graph, _layers(graph))
        for start in range(0, len(layer), _TALLEST)
    ]
    tallest = max((len(column) for column in columns), default=0)
    corners = {
        service: (
            _MARGIN + COLUMN * x,
            _MARGIN + round(ROW * (y + (tallest - len(column)) / 2)),
        )
        for x, column in enumerate(columns)
        for y, service in enumerate(column)
    }
    width = 2 * _MARGIN + COLUMN * max(len(columns) - 1, 0) + BOX[0]
    height = 2 * _MARGIN + ROW * max(tallest - 1, 0) + BOX[1]
    return Layout(corners, width, height)


def calls_among(services: Collection[str], call_graph: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """The calls between `services` as sorted (caller, callee) pairs, without self-calls and duplicates."""
    return sorted(
        {
            (caller, callee)
            for caller, callees in call_graph.items()
            for callee in callees
            if caller != callee and caller in services and callee in services
        }
    )


def _layers(graph: "nx.DiGraph[str]") -> list[list[str]]:
    """Services by their longest path from an entry; a cycle stays together."""
    circles = nx.condensation(graph)
    return [
        sorted(service for circle in generation for service in circles.nodes[circle]["members"])
        for generation in nx.topological_generations(circles)
    ]


def _ordered(graph: "nx.DiGraph[str]", layers: list[list[str]]) -> list[list[str]]:
    """Moves each service to the mean height of its neighbours, so that few calls cross."""
    height: dict[str, float] = {}
    for layer in layers:
        height.update(_heights(layer))
    for sweep in range(_SWEEPS):
        near = graph.predecessors if sweep % 2 == 0 else graph.successors
        for index in range(len(layers)) if sweep % 2 == 0 else reversed(range(len(layers))):
            middle = {s: fmean([height[n] for n in near(s)] or [height[s]]) for s in layers[index]}
            layers[index] = [service for _, service in sorted((m, s) for s, m in middle.items())]
            height.update(_heights(layers[index]))
    return layers


def _heights(layer: Sequence[str]) -> dict[str, float]:
    """Each service's distance from the middle of its layer."""
    return {service: y - (len(layer) - 1) / 2 for y, service in enumerate(layer)}
