"""Variants of call graphs: weaker dependencies, addresses beside services, replicated workers."""

from dataclasses import replace

import numpy as np

from data.arrays import Ints
from data.simulator.topology import Topology, from_calls


def diluted(topology: Topology, rng: np.random.Generator, most: float) -> Topology:
    """Makes callers depend less on callees: up to the share `most` of failures goes unnoticed."""
    unneeded = most * rng.random(len(topology.callers))
    return replace(
        topology,
        fallbacks=1.0 - (1.0 - topology.fallbacks) * (1.0 - unneeded),
        waits=topology.waits * (1.0 - 0.8 * unneeded),
    )


def with_client_views(topology: Topology, rng: np.random.Generator, share: float) -> tuple[Topology, Ints]:
    """Adds address nodes: what one caller sees of a load balancer or remote host.

    Args:
        topology: the real services.
        rng: random numbers.
        share: of calls that get an address node.

    Returns:
        The graph, and for every node the service behind it; a real service is behind itself.  (S,)
    """
    size = len(topology.names)
    seen = np.flatnonzero(rng.random(len(topology.callees)) < share)
    shown = topology.callees[seen]
    callers = np.concatenate([topology.callers, topology.callers[seen]])
    callees = np.concatenate([topology.callees, size + np.arange(len(seen))])
    order = np.lexsort((callees, callers))
    nothing = np.zeros(len(seen))
    addresses = (
        f"{topology.names[callee]}_from_{topology.names[caller]}_remote"
        for caller, callee in zip(topology.callers[seen].tolist(), shown.tolist(), strict=True)
    )
    grown = Topology(
        names=(*topology.names, *addresses),
        kinds=(*topology.kinds, *("external" for _ in seen)),
        callers=callers[order].astype(np.int64),
        callees=callees[order].astype(np.int64),
        shares=np.concatenate([topology.shares, nothing + 0.1])[order],
        waits=np.concatenate([topology.waits, nothing])[order],
        timeouts_s=np.concatenate([topology.timeouts_s, nothing + 1.0])[order],
        retries=np.concatenate([topology.retries, nothing])[order],
        fallbacks=np.concatenate([topology.fallbacks, nothing + 1.0])[order],
        lags_minutes=np.concatenate([topology.lags_minutes, nothing])[order],
        breakers=np.concatenate([topology.breakers, nothing > 0.0])[order],
        groups=np.concatenate([topology.groups, np.arange(size, size + len(seen))]),
        failovers=np.concatenate([topology.failovers, nothing]),
    )
    return grown, np.concatenate([np.arange(size), shown]).astype(np.int64)


def replicate(topology: Topology, rng: np.random.Generator) -> Topology:
    """Replaces every worker with two replicas, `name-0` and `name-1`, which share its callers."""
    count = np.array([2 if k in ("service", "gateway") else 1 for k in topology.kinds])
    first = np.concatenate([[0], np.cumsum(count)])
    names = [f"{n}-{i}" for n, c in zip(topology.names, count, strict=True) for i in range(c)]
    kinds = [k for k, c in zip(topology.kinds, count, strict=True) for _ in range(c)]
    calls = [
        (int(first[a]) + i, int(first[b]) + j)
        for a, b in zip(topology.callers.tolist(), topology.callees.tolist(), strict=True)
        for i in range(int(count[a]))
        for j in range(int(count[b]))
    ]
    groups = [int(f) for f, c in zip(first, count, strict=False) for _ in range(c)]
    copied = from_calls(names, kinds, calls, rng, groups=groups)
    return diluted(copied, rng, 0.75)
