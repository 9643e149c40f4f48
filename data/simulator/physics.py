"""The propagation of faults: their effect on every service, tick by tick.

Failures flow from callee to caller, waiting adds up along synchronous calls, and traffic flows from caller to
callee, or around a failure if possible. The step-by-step environment and the batch generator both use it;
many worlds are simulated as one larger graph.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data.arrays import Bools, Floats
from data.faults.drives import Drive
from data.simulator.failover import Buffers, Failover
from data.simulator.topology import Topology

# By default callers tolerate a callee that fails a smaller share of calls than this.
TOLERANCE = 0.30
# Share of a callee's failures that its caller passes on to its own callers.
_HANDED_ON = 0.4
# How fast a failing call affects the caller, and how fast the caller recovers, per minute.
_RISE_PER_MINUTE = 0.5
_FADE_PER_MINUTE = 0.3
# A caller can fail at most this many times the share of requests that its callee fails.
_LOUDEST = 1.3
# Limit of traffic relative to the usual, because a surge in a cycle of calls would grow for ever.
_FLOOD = 8.0
# A circuit breaker opens if a callee fails this share of the caller's requests; then only a few calls pass.
TRIPS = 0.4
PROBES = 0.2
# Extra calls to a store, relative to the usual, while the cache before it fails completely.
MISSES = 1.5


@dataclass(frozen=True, eq=False)
class Fleet:
    """The services in health; one entry per service (S)."""

    error_rate: Floats
    latency_s: Floats  # p99
    cpu: Floats
    memory: Floats
    active_requests: Floats
    descriptors: Floats
    memory_limit_bytes: Floats
    # LATENCY drives are meant for a service of 0.1 s; this scales them for slower and faster ones.
    latency_scale: Floats


class State(NamedTuple):
    """The true state of every service at one tick; each (S,)."""

    error_rate: Floats
    latency_s: Floats  # p99
    own_latency_s: Floats  # p99 without waiting for callees
    client_error: Floats  # share of its own calls that fail
    client_latency_s: Floats  # extra seconds spent waiting for callees
    traffic: Floats  # requests served, 1 = as usual
    cpu: Floats
    memory: Floats
    saturation: Floats
    active_requests: Floats
    descriptors: Floats
    disk: Floats
    network: Floats
    gc_pause_ms: Floats
    restarts: Floats
    odd_logs: Floats  # unusual lines per request
    calling_slower_s: Floats  # the part of client_latency_s that its own fault causes, not its callees


class Physics:
    """Simulates one graph; only `step` and `extend_timeouts` change it."""

    def __init__(
        self,
        topology: Topology,
        fleet: Fleet,
        tolerance: Floats | float = TOLERANCE,  # scalar or (S,)
        think_s: Floats | float = np.inf,  # scalar or (S,): a user's pause after an answer
    ) -> None:
        self._topology = topology
        self._fleet = fleet
        self._tolerance = tolerance
        self._think_s = np.broadcast_to(np.asarray(think_s, dtype=np.float64), len(topology.names))
        self._closed = bool(np.isfinite(self._think_s).any())
        self._size = len(topology.names)
        callers = topology.callers
        # Calls are sorted by caller, so that reductions over a caller's callees are one reduceat.
        self._has_calls = len(callers) > 0
        self._calls_any = np.bincount(callers, minlength=self._size) > 0
        self._with_calls, self._starts = np.unique(callers, return_index=True)
        self._timeouts_s = topology.timeouts_s.copy()
        # Waiting ends with the last attempt; the share of failures is at most 1.
        patience_s = topology.timeouts_s * (1.0 + topology.retries)
        self._ceilings = np.array([patience_s, np.ones(len(callers))])  # (2, E)
        self._gains = np.array([topology.waits, np.full(len(callers), _HANDED_ON)])  # (2, E)
        self._exposed = 1.0 - topology.fallbacks
        self._failover = Failover(topology.groups, topology.failovers)
        self._buffers = Buffers(topology.lags_minutes)
        cached = [topology.kinds[callee] == "cache" for callee in topology.callees]
        self._behind_cache = topology.behind_cache
        self._misses = MISSES * topology.shares * cached if self._behind_cache.any() else None  # (E,)
        usual_demand = np.bincount(topology.callees, topology.shares, self._size)
        self._inner = usual_demand > 0.0
        self._usual_demand = np.maximum(usual_demand, 1e-9)
        self._exposure: Floats = np.zeros(len(callers))
        self._flow: Floats = np.ones(self._size)
        self._overload: Floats = np.zeros(self._size)

    def extend_timeouts(self, service: int, factor: float) -> None:
        """Multiplies the time-outs of calls to `service`."""
        calls = self._topology.callees == service
        self._timeouts_s[calls] *= factor
        self._ceilings[0, calls] *= factor

    def _spread(self, own: Floats, tripped: Bools | None, opened: Bools | None) -> Floats:
        """Propagates waiting and failures from callees to callers, hop by hop.

        Args:
            own: seconds above the usual, and share of failures.  (2, S)
            tripped: calls whose circuit breaker has opened by itself; None for none.  (E,)
            opened: calls cut by an operator, which callers do without; None for none.  (E,)

        Returns:
            `own` together with the effect of the worst callee.  (2, S)
        """
        if not self._has_calls:
            return own
        callees = self._topology.callees
        gains = self._gains * self._buffers.empty if self._buffers.possible else self._gains
        if tripped is not None:
            # A call behind an open breaker fails at once instead of waiting.
            gains = np.array([np.where(tripped, 0.0, gains[0]), gains[1]])
        if opened is not None:
            gains = np.where(opened, 0.0, gains)
        spread = own
        for _ in range(self._topology.depth):
            calls = np.minimum(spread[:, callees], self._ceilings) * gains
            taken = np.zeros_like(own)
            taken[:, self._with_calls] = np.maximum.reduceat(calls, self._starts, axis=1)
            spread = np.array([own[0] + taken[0], np.maximum(own[1], taken[1])])
        return spread

    def step(
        self,
        own: Floats,  # (D, S) drives of the faults
        hidden: Floats,  # (S,) share of own error and latency that only callers see
        minutes: float | Floats,  # scalar or (S,)
        demand: Floats | None = None,  # (S,) load from outside, 1 = as usual
        opened: Bools | None = None,  # (E,) calls cut by a circuit breaker
    ) -> State:
        """Simulates one tick of `minutes`."""
        topology, fleet = self._topology, self._fleet
        callees = topology.callees
        own_error, silence = own[Drive.ERROR], own[Drive.SILENCE]
        own_wait = own[Drive.LATENCY] * fleet.latency_scale

        failing = np.where(own_error >= self._tolerance, own_error, 0.0)
        tripped: Bools | None = topology.breakers & (self._exposure > TRIPS)
        if not np.any(tripped):
            tripped = None
        hurt = np.array([own_wait, np.maximum(failing, self._overload)])
        excess, failing = self._spread(hurt, tripped, opened)
        waits_s = excess - own_wait

        late = _unit(excess[callees] / self._timeouts_s - 1.0)
        pressure = np.maximum(failing[callees], 0.6 * topology.waits * late) * self._exposed
        if opened is not None:
            pressure = np.where(opened, 0.0, pressure)
        pace = minutes if isinstance(minutes, float) else minutes[topology.callers]
        if self._buffers.possible:
            # A callee slower than twice the usual counts as failing.
            troubled = (failing[callees] > 0.0) | (excess[callees] > fleet.latency_s[callees])
            self._buffers.drain(troubled, pace)
            pressure = np.where(self._buffers.empty, pressure, 0.0)
        if self._failover.possible:
            # Health checks see no more than the service's own metrics.
            self._failover.check(np.maximum(own_error * (1.0 - hidden), silence), minutes)
            pressure = pressure * (1.0 - self._failover.moved[callees])
        ceiling = np.minimum(1.0, pressure * _LOUDEST)
        grown = np.minimum(self._exposure + _RISE_PER_MINUTE * pace * pressure, ceiling)
        faded = np.maximum(self._exposure - _FADE_PER_MINUTE * pace, ceiling)
        self._exposure = np.where(self._exposure <= ceiling, grown, faded)
        passed = np.minimum(np.bincount(topology.callers, self._exposure, self._size), 1.0)

        # Failed calls are retried, cut ones are not, and cache misses go to the store.
        frequency = topology.shares * (1.0 + 0.5 * topology.retries * self._exposure)
        if tripped is not None:
            frequency = np.where(tripped, PROBES * frequency, frequency)
        if opened is not None:
            frequency = np.where(opened, 0.0, frequency)
        if self._misses is not None:
            missed = np.bincount(topology.callers, self._misses * self._exposure, self._size)
            more = 1.0 + missed[topology.callers]
            frequency = np.where(self._behind_cache, frequency * more, frequency)
        # A request that fails early makes no calls.
        flow = self._flow
        outside = np.ones(self._size) if demand is None else demand
        surge = 1.0 + own[Drive.SURGE]
        going_on = surge * (1.0 - 0.5 * own_error) * (1.0 - silence) * (1.0 - 0.4 * passed)
        if self._closed:
            # Users who wait for an answer before the next request send fewer requests if answers are slow
            # (Schroeder et al., "Open versus closed: a cautionary tale", NSDI 2006).
            outside = outside / (1.0 + excess / self._think_s)
        for _ in range(2):
            calls = (flow * going_on)[topology.callers] * frequency
            arriving = np.bincount(callees, calls, self._size)
            flow = np.where(self._inner, arriving / self._usual_demand, outside)
            if self._failover.possible:
                flow = self._failover.balance(flow)
            flow = np.minimum(flow, _FLOOD)
        self._flow = flow
        traffic = flow * surge * (1.0 - silence)

        seen = 1.0 - hidden
        slower = own_wait * seen + waits_s
        inflight = traffic * (1.0 + np.minimum(slower / fleet.latency_s, 60.0) * 0.1)
        saturation = _unit(0.04 * inflight + own[Drive.SATURATION])
        # Full pools refuse requests, from the next tick on.
        self._overload = np.maximum((saturation - 0.9) * 4.0, 0.0)
        calling_slower_s = own[Drive.CLIENT] * fleet.latency_scale * self._calls_any
        failed = (1.0 - fleet.error_rate) * (1.0 - own_error * seen) * (1.0 - passed)
        return State(
            error_rate=1.0 - failed * (1.0 - 0.5 * self._overload),
            latency_s=fleet.latency_s + slower,
            own_latency_s=0.6 * fleet.latency_s + own_wait * seen,
            client_error=passed,
            client_latency_s=waits_s + calling_slower_s,
            traffic=traffic,
            cpu=_unit(fleet.cpu * (0.3 + 0.7 * traffic) + own[Drive.CPU]),
            memory=fleet.memory + own[Drive.MEMORY] * (1.0 - fleet.memory),
            saturation=saturation,
            active_requests=fleet.active_requests * inflight,
            descriptors=fleet.descriptors * (0.6 + 0.4 * inflight) + own[Drive.DESCRIPTORS],
            disk=np.minimum(0.35 + own[Drive.DISK], 1.0),
            network=0.001 + own[Drive.NETWORK],
            gc_pause_ms=15.0 + own[Drive.GC],
            odd_logs=own[Drive.LOGS],
            restarts=own[Drive.RESTARTS].copy(),
            calling_slower_s=calling_slower_s,
        )


def _unit(values: Floats) -> Floats:
    """Clipped to 0..1; np.clip costs several times as much on small arrays."""
    return np.minimum(np.maximum(values, 0.0), 1.0)
