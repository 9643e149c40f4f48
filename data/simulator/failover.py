"""What bypasses a failure or hides it for some minutes: load balancers with health checks, and buffers."""

import numpy as np

from data.arrays import Bools, Floats, Ints

# Health checks fail if a service loses at least this share of its requests …
FAILS_CHECKS = 0.30
# … for this long (three checks in a row, plus cached names).
CONVINCED_MINUTES = 1.5
# Share of all traffic that can move away, or back, per minute.
_MOVED_PER_MINUTE = 0.6


class Failover:
    """Moves part of a failing service's traffic to its stand-ins, minutes after it began to fail."""

    def __init__(self, groups: Ints, failovers: Floats) -> None:
        self._groups = groups
        self._size = len(groups)
        members = np.bincount(groups, minlength=self._size)[groups]
        self._others = np.maximum(members - 1.0, 1.0)
        self._most = np.where(members > 1, failovers, 0.0)
        # Whether any service has a stand-in that load balancers know; if not, there is nothing to compute.
        self.possible = bool((self._most > 0.0).any())
        self._failed_minutes: Floats = np.zeros(self._size)
        self.moved: Floats = np.zeros(self._size)  # (S,) share of the traffic that has moved

    def check(self, failing: Floats, minutes: float | Floats) -> None:
        """Runs health checks for `minutes`; `failing` is the share of requests lost at each service.  (S,)"""
        sick = failing >= FAILS_CHECKS
        self._failed_minutes = np.where(sick, self._failed_minutes + minutes, 0.0)
        given_up = self._failed_minutes >= CONVINCED_MINUTES
        # Fewer healthy stand-ins take less traffic; without any, all traffic stays.
        well = np.bincount(self._groups, ~sick, self._size)[self._groups]
        due = np.where(given_up, self._most * np.minimum(well / self._others, 1.0), 0.0)
        pace = _MOVED_PER_MINUTE * minutes
        self.moved = np.minimum(np.maximum(due, self.moved - pace), self.moved + pace)

    def balance(self, flow: Floats) -> Floats:
        """The traffic that arrives after load balancing; the total stays the same.  (S,) → (S,)"""
        leaving = flow * self.moved
        room = 1.0 - self.moved
        away = np.bincount(self._groups, leaving, self._size)
        rooms = np.bincount(self._groups, room, self._size)
        share = np.maximum(rooms, 1e-9)
        return np.asarray(flow - leaving + (away / share)[self._groups] * room)


class Buffers:
    """Cached answers and outboxes, which hide a failing callee from its caller for some minutes."""

    def __init__(self, lags_minutes: Floats) -> None:
        self._lags_minutes = lags_minutes
        self.possible = bool((lags_minutes > 0.0).any())
        self._used_minutes: Floats = np.zeros(len(lags_minutes))

    @property
    def empty(self) -> Bools:
        """Which calls have no buffer, or none left.  (E,)"""
        return self._used_minutes >= self._lags_minutes

    def drain(self, troubled: Bools, minutes: float | Floats) -> None:
        """Empties the buffers of troubled calls, and refills the others.

        Args:
            troubled: the callee fails or is slow.  (E,)
            minutes: that pass, for all or for each call.  scalar or (E,)
        """
        used = self._used_minutes + np.where(troubled, minutes, -np.asarray(minutes))
        self._used_minutes = np.minimum(np.maximum(used, 0.0), self._lags_minutes)
