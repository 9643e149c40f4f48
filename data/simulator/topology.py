"""Simulated call graphs: services of several kinds, and the properties of their calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data.arrays import Bools, Floats, Ints
from data.simulator.names import roles, service_names

KINDS = ("gateway", "service", "datastore", "cache", "queue", "external", "sidecar")
# Kinds that many services share.
CALLED_BY_ALL = ("datastore", "cache", "queue", "external")
# Share of a caller's requests that use a callee of this kind, and how far they wait for its answer.
_SHARE = {"datastore": 0.8, "cache": 0.9, "queue": 0.3, "external": 0.3, "sidecar": 1.0}
_WAITS = {"queue": 0.0, "cache": 0.8}
_TIMEOUTS_S = (1.0, 2.0, 2.0, 5.0, 10.0, 30.0)
# How often, and for how many minutes (from, to), an outbox hides a failing queue, or a cache a failing store.
OUTBOX = (0.6, 1.0, 4.0)
CACHED = (0.4, 0.5, 3.0)
# Share of calls behind a circuit breaker.
BREAKERS = 0.2
# How often, and with what share (from, to) of its traffic, a failing service hands over to a stand-in.
FAILOVER = (0.7, 0.4, 0.9)


@dataclass(frozen=True, eq=False)
class Topology:
    """A call graph as arrays: one entry per service (S) or call (E)."""

    names: tuple[str, ...]  # (S,)
    kinds: tuple[str, ...]  # (S,)
    callers: Ints  # (E,)
    callees: Ints  # (E,)
    shares: Floats  # (E,) share of the caller's requests that make this call
    waits: Floats  # (E,) from 1 (the caller waits for the answer) to 0 (asynchronous)
    timeouts_s: Floats  # (E,)
    retries: Floats  # (E,) extra attempts after a failed call
    fallbacks: Floats  # (E,) share of failed calls for which the caller has a fallback
    lags_minutes: Floats  # (E,) how long a buffer hides a failing callee
    breakers: Bools  # (E,) a circuit breaker cuts the call off while it fails
    groups: Ints  # (S,) services with the same number can stand in for each other, such as zone twins
    failovers: Floats  # (S,) share of a failing service's traffic that its stand-ins get, if any

    @cached_property
    def call_graph(self) -> dict[str, list[str]]:
        """{caller: [callees]}, with every service as a key."""
        graph: dict[str, list[str]] = {name: [] for name in self.names}
        for caller, callee in zip(self.callers.tolist(), self.callees.tolist(), strict=True):
            graph[self.names[caller]].append(self.names[callee])
        return graph

    @cached_property
    def entries(self) -> Bools:
        """Services that users call directly.  # (S,)"""
        entry = np.ones(len(self.names), dtype=bool)
        entry[self.callees[self.callers != self.callees]] = False
        return entry

    @cached_property
    def behind_cache(self) -> Bools:
        """Calls to a store from callers with a cache; they grow with cache misses.  # (E,)"""
        return _behind_cache(self.kinds, self.callers, self.callees)

    @cached_property
    def depth(self) -> int:
        """The length of the longest chain of calls, at most 8, because distant faults hardly matter."""
        calls = self.callers != self.callees
        callers, callees = self.callers[calls], self.callees[calls]
        before = np.zeros(len(self.names), dtype=np.int64)
        for hops in range(8):
            after = before.copy()
            np.maximum.at(after, callees, before[callers] + 1)
            if np.array_equal(after, before):
                return max(1, hops)
            before = after
        return 8


def union(topologies: Sequence[Topology]) -> Topology:
    """Joins separate graphs into one, without calls between them."""
    offsets = np.cumsum([0, *(len(t.names) for t in topologies)])
    return Topology(
        names=tuple(name for t in topologies for name in t.names),
        kinds=tuple(kind for t in topologies for kind in t.kinds),
        callers=np.concatenate([t.callers + o for t, o in zip(topologies, offsets, strict=False)]),
        callees=np.concatenate([t.callees + o for t, o in zip(topologies, offsets, strict=False)]),
        shares=np.concatenate([t.shares for t in topologies]),
        waits=np.concatenate([t.waits for t in topologies]),
        timeouts_s=np.concatenate([t.timeouts_s for t in topologies]),
        retries=np.concatenate([t.retries for t in topologies]),
        fallbacks=np.concatenate([t.fallbacks for t in topologies]),
        lags_minutes=np.concatenate([t.lags_minutes for t in topologies]),
        breakers=np.concatenate([t.breakers for t in topologies]),
        groups=np.concatenate([t.groups + o for t, o in zip(topologies, offsets, strict=False)]),
        failovers=np.concatenate([t.failovers for t in topologies]),
    )


def _behind_cache(kinds: Sequence[str], callers: Ints, callees: Ints) -> Bools:
    kind = np.array(kinds)
    caching = np.zeros(len(kinds), dtype=bool)
    caching[callers[kind[callees] == "cache"]] = True
    return np.asarray((kind[callees] == "datastore") & caching[callers])


def _sometimes(rng: np.random.Generator, how: tuple[float, float, float], count: int) -> Floats:
    """With the chance `how[0]` a value from `how[1]` to `how[2]`, else 0.  → (count,)"""
    chance, least, most = how
    return np.where(rng.random(count) < chance, rng.uniform(least, most, count), 0.0)


def from_calls(
    names: Sequence[str],
    kinds: Sequence[str],
    calls: Sequence[tuple[int, int]],
    rng: np.random.Generator,
    waiting: float = 1.0,
    groups: Sequence[int] | None = None,
) -> Topology:
    """Draws the rate, time-out, retries and so on of every call.

    Args:
        names: (S,)
        kinds: (S,)
        calls: (caller, callee) by position; duplicates count once.
        rng: random numbers.
        waiting: scales how far callers wait.
        groups: (S,) services with the same number can stand in for each other; by default none can.
    """
    edges = np.array(sorted(set(calls)), dtype=np.int64).reshape(-1, 2)
    count = len(edges)
    called = [kinds[i] for i in edges[:, 1]]
    spread = rng.uniform(0.5, 1.0, count)
    # A separate stream, so that these options don't change the other random numbers.
    soft = rng.spawn(1)[0]
    queues = np.array([kind == "queue" for kind in called], dtype=bool)
    outboxes = np.where(queues, _sometimes(soft, OUTBOX, count), 0.0)
    cached = _sometimes(soft, CACHED, count)
    return Topology(
        names=tuple(names),
        kinds=tuple(kinds),
        callers=edges[:, 0].copy(),
        callees=edges[:, 1].copy(),
        shares=spread * np.array([_SHARE.get(kind, 0.7) for kind in called]).reshape(count),
        waits=waiting * np.array([_WAITS.get(kind, 1.0) for kind in called]).reshape(count),
        timeouts_s=rng.choice(_TIMEOUTS_S, count),
        retries=rng.choice([0.0, 0.0, 1.0, 2.0], count),
        fallbacks=np.where(rng.random(count) < 0.25, rng.uniform(0.3, 0.9, count), 0.0),
        lags_minutes=np.where(_behind_cache(kinds, edges[:, 0], edges[:, 1]), cached, outboxes),
        breakers=soft.random(count) < BREAKERS,
        groups=np.arange(len(names)) if groups is None else np.asarray(groups, dtype=np.int64),
        failovers=_sometimes(soft, FAILOVER, len(names)),
    )


def known_calls(names: Sequence[str]) -> list[tuple[int, int]]:
    """The usual calls between well-known services."""
    position = {name: i for i, name in enumerate(names)}
    calls = []
    for caller, i in position.items():
        role = roles().get(caller)
        for callee in role.calls if role else ():
            if callee in position:
                calls.append((i, position[callee]))
    return calls


def connect_services(
    names: Sequence[str], kinds: Sequence[str], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """The known calls of a small set of services, and a random call for each unconnected one."""
    calls = known_calls(names)
    for i, kind in enumerate(kinds):
        if any(i in call for call in calls):
            continue
        others = [j for j in range(len(names)) if j != i]
        if not others:
            break
        partner = int(rng.choice(others))
        leaf = kind in CALLED_BY_ALL or (kinds[partner] == "gateway" and kind != "gateway")
        call = (partner, i) if leaf else (i, partner)
        if kinds[call[0]] in CALLED_BY_ALL and kinds[call[1]] not in CALLED_BY_ALL:
            call = (call[1], call[0])
        calls.append(call)
    return calls


def generate(rng: np.random.Generator, services: int, waiting: float = 1.0) -> Topology:
    """A realistic call graph: gateways, layers, shared stores, queues, third parties, sidecars, zone twins
    and, rarely, a cycle."""
    leaves = 0 if services < 4 else int(services * rng.uniform(0.15, 0.4))
    sidecars = int(services * 0.15) if services >= 12 and rng.random() < 0.15 else 0
    gateways = 1 if services < 12 else int(rng.integers(1, 2 + min(6, services // 20)))
    workers = max(1, services - gateways - leaves - sidecars)
    # A separate stream, so that zones don't change the other random numbers.
    zones = rng.spawn(1)[0]
    twins = 0
    if workers >= 4 and zones.random() < 0.25:
        twins = int(workers * zones.uniform(0.2, 0.45))
        workers -= twins
    kinds = ["gateway"] * gateways + ["service"] * workers
    kinds += [str(k) for k in rng.choice(CALLED_BY_ALL, leaves, p=(0.5, 0.2, 0.15, 0.15))]
    kinds += ["sidecar"] * (services - twins - len(kinds))
    names = service_names(rng, kinds)

    layers = int(rng.integers(1, 2 + min(5, max(1, workers // 3))))
    layer = np.sort(rng.integers(0, layers, workers))
    calls: list[tuple[int, int]] = []
    favour = rng.pareto(1.5, workers) + 0.2  # a few services are called by many
    for w in range(workers):
        me = gateways + w
        earlier = np.flatnonzero(layer < layer[w])
        if len(earlier) == 0 or rng.random() < 0.08:
            calls.append((int(rng.integers(gateways)), me))
        else:
            for caller in rng.choice(earlier, min(len(earlier), 1 + int(rng.poisson(0.4))), replace=False):
                calls.append((gateways + int(caller), me))
        later = np.flatnonzero(layer > layer[w])
        if len(later) and rng.random() < 0.5:
            weight = favour[later] / favour[later].sum()
            picks = rng.choice(later, min(len(later), 1 + int(rng.poisson(0.6))), replace=True, p=weight)
            calls += [(me, gateways + int(callee)) for callee in picks]
    for offset in range(leaves):
        leaf = gateways + workers + offset
        users = 1 + int(rng.integers(0, max(2, workers // 3))) if rng.random() < 0.35 else 1
        for user in rng.choice(workers, min(workers, users, 40), replace=False):
            calls.append((gateways + int(user), leaf))
    for sidecar in range(services - twins - sidecars, services - twins):
        calls.append((gateways + int(rng.integers(workers)), sidecar))
    if workers >= 4 and rng.random() < 0.08:  # a cycle, as with callbacks or in legacy systems
        a, b = rng.choice(workers, 2, replace=False)
        calls.append((gateways + int(max(a, b)), gateways + int(min(a, b))))
    for gateway in range(gateways):
        if not any(caller == gateway for caller, _ in calls):
            calls.append((gateway, gateways + int(rng.integers(workers))))
    originals = gateways + zones.choice(workers, twins, replace=False)
    twin_of = {int(original): len(names) + n for n, original in enumerate(originals)}
    names += [f"{names[original]}-az-b" for original in twin_of]
    kinds += [kinds[original] for original in twin_of]
    calls += _in_zone(calls, twin_of)
    groups = [*range(services - twins), *twin_of]
    return from_calls(names, kinds, [c for c in calls if c[0] != c[1]], rng, waiting, groups)


def _in_zone(calls: Sequence[tuple[int, int]], twin_of: Mapping[int, int]) -> list[tuple[int, int]]:
    """The calls of zone twins: to the callee's twin if it has one; callers from outside call both."""
    copied = []
    for caller, callee in calls:
        if caller in twin_of or callee in twin_of:
            copied.append((twin_of.get(caller, caller), twin_of.get(callee, callee)))
    return copied
