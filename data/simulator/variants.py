"""Call graphs made from others: needed less, seen through load balancers, every worker several times."""

from dataclasses import replace

import numpy as np

from data.simulator.topology import Ints, Topology, from_calls


def diluted(topology: Topology, rng: np.random.Generator, most: float) -> Topology:
    """Callers that need a callee for part of their requests: up to `most` of its failures go unnoticed."""
    unneeded = most * rng.random(len(topology.callers))
    return replace(
        topology,
        fallbacks=1.0 - (1.0 - topology.fallbacks) * (1.0 - unneeded),
        waits=topology.waits * (1.0 - 0.8 * unneeded),
    )


def with_client_views(topology: Topology, rng: np.random.Generator, share: float) -> tuple[Topology, Ints]:
    """Adds nodes that are only another's address: what callers see of a load balancer or remote host.

    Returns:
        The graph, and for every node the service whose behaviour it shows, itself for real ones.  (S,)
    """
    size = len(topology.names)
    shown = [i for i in range(size) if (topology.callees == i).any() and rng.random() < share]
    copies = {service: size + n for n, service in enumerate(shown)}
    seen = np.flatnonzero(np.isin(topology.callees, shown))
    callers = np.concatenate([topology.callers, topology.callers[seen]])
    callees = np.concatenate([topology.callees, [copies[int(i)] for i in topology.callees[seen]]])
    order = np.lexsort((callees, callers))
    nothing = np.zeros(len(seen))
    grown = Topology(
        names=(*topology.names, *(f"{topology.names[i]}_remote" for i in shown)),
        kinds=(*topology.kinds, *("external" for _ in shown)),
        callers=callers[order].astype(np.int64),
        callees=callees[order].astype(np.int64),
        shares=np.concatenate([topology.shares, nothing + 0.1])[order],
        waits=np.concatenate([topology.waits, nothing])[order],
        timeouts_s=np.concatenate([topology.timeouts_s, nothing + 1.0])[order],
        retries=np.concatenate([topology.retries, nothing])[order],
        fallbacks=np.concatenate([topology.fallbacks, nothing + 1.0])[order],
        lags_minutes=np.concatenate([topology.lags_minutes, nothing])[order],
        breakers=np.concatenate([topology.breakers, nothing > 0.0])[order],
        groups=np.concatenate([topology.groups, np.arange(size, size + len(shown))]),
        failovers=np.concatenate([topology.failovers, np.zeros(len(shown))]),
    )
    return grown, np.array([*range(size), *shown], dtype=np.int64)


def replicate(topology: Topology, rng: np.random.Generator, copies: int = 2) -> Topology:
    """Every worker as `name-0`, `name-1`, …: instances whose callers spread over all of them."""
    count = np.array([copies if k in ("service", "gateway") else 1 for k in topology.kinds])
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
    return diluted(copied, rng, 1.0 - 0.5 / copies)
