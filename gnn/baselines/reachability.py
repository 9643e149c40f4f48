"""Counts how many services can reach each service through the call graph, exactly, for any size."""

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

# Callers counted in one sweep, with one bit each: at most 1 KB per strongly connected component.
SWEEP = 8192


def transitive_caller_counts(services: Sequence[str], call_graph: Mapping[str, Sequence[str]]) -> list[int]:
    """The number of other nodes from which a path of calls leads to each of `services`.

    Nodes that only the call graph names count as callers, too. Strongly connected components are contracted;
    then sets of callers, one bit per node, are passed once along every call. That takes one linear pass over
    nodes and calls per 8,192 nodes.
    """
    index = {name: i for i, name in enumerate(services)}
    pairs = [
        (index.setdefault(caller, len(index)), index.setdefault(callee, len(index)))
        for caller, callees in call_graph.items()
        for callee in callees
    ]
    if not pairs:
        return [0] * len(services)
    rows, columns = np.asarray(pairs).T  # (E,), (E,)
    calls = csr_array((np.ones(len(pairs)), (rows, columns)), shape=(len(index), len(index)))
    n_components, labels = connected_components(calls, connection="strong")
    component_of: list[int] = labels.tolist()

    callers: list[set[int]] = [set() for _ in range(n_components)]
    for caller, callee in pairs:
        if component_of[caller] != component_of[callee]:
            callers[component_of[callee]].add(component_of[caller])
    callers_first = list(TopologicalSorter(dict(enumerate(callers))).static_order())

    counts = [0] * n_components
    for start in range(0, len(index), SWEEP):
        reached_by = [0] * n_components
        for bit, component in enumerate(component_of[start : start + SWEEP]):
            reached_by[component] |= 1 << bit
        for component in callers_first:
            bits = reached_by[component]
            for caller in callers[component]:
                bits |= reached_by[caller]
            reached_by[component] = bits
            counts[component] += bits.bit_count()
    return [counts[component] - 1 for component in component_of[: len(services)]]
