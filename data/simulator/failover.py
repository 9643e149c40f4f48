"""What leads around a failure or hides it for some minutes: balancers with health checks, and buffers."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Health checks fail a service that loses at least this share of its requests …
FAILS_CHECKS = 0.30
# … and believe it only after this long: three checks in a row, and names that resolvers have remembered.
CONVINCED_MINUTES = 1.5
# How fast traffic moves away, and comes back, as a share of all traffic a minute.
_MOVED_PER_MINUTE = 0.6


class Failover:
    """Moves part of the traffic of a failing service to its stand-ins, minutes after it began to fail."""

    def __init__(self, groups: Ints, failovers: Floats) -> None:
        self._groups = groups
        self._size = len(groups)
        members = np.bincount(groups, minlength=self._size)[groups]
        self._others = np.maximum(members - 1.0, 1.0)
        self._most = np.where(members > 1, failovers, 0.0)
        # Whether any service has a stand-in that balancers know of: without, there is nothing to compute.
        self.possible = bool((self._most > 0.0).any())
        self._failed_minutes: Floats = np.zeros(self._size)
        self.moved: Floats = np.zeros(self._size)  # (S,) share of the traffic that goes elsewhere

    def check(self, failing: Floats, minutes: float | Floats) -> None:
        """Health checks of `minutes`; `failing` is the share of requests lost at each service.  (S,)"""
        sick = failing >= FAILS_CHECKS
        self._failed_minutes = np.where(sick, self._failed_minutes + minutes, 0.0)
        given_up = self._failed_minutes >= CONVINCED_MINUTES
        # The fewer stand-ins are well, the less there is to gain: with none left everybody keeps his own.
        well = np.bincount(self._groups, ~sick, self._size)[self._groups]
        due = np.where(given_up, self._most * np.minimum(well / self._others, 1.0), 0.0)
        pace = _MOVED_PER_MINUTE * minutes
        self.moved = np.minimum(np.maximum(due, self.moved - pace), self.moved + pace)

    def balance(self, flow: Floats) -> Floats:
        """The traffic that arrives once balancers have moved what they move; nothing is lost.  (S,) → (S,)"""
        leaving = flow * self.moved
        room = 1.0 - self.moved
        away = np.bincount(self._groups, leaving, self._size)
        rooms = np.bincount(self._groups, room, self._size)
        share = np.maximum(rooms, 1e-9)
        return np.asarray(flow - leaving + (away / share)[self._groups] * room)


class Buffers:
    """Cached answers and outboxes: for some minutes the caller does not notice that its callee fails."""

    def __init__(self, lags_minutes: Floats) -> None:
        self._lags_minutes = lags_minutes
        self.possible = bool((lags_minutes > 0.0).any())
        self._used_minutes: Floats = np.zeros(len(lags_minutes))

    @property
    def empty(self) -> Bools:
        """Which calls have nothing left, or never had anything, to fall back on.  (E,)"""
        return self._used_minutes >= self._lags_minutes

    def drain(self, troubled: Bools, minutes: float | Floats) -> None:
        """`minutes` more of troubled calls, which empty their buffers, and of quiet ones, which fill them.

        Args:
            troubled: whose callee fails or is slow.  (E,)
            minutes: a number, or one a call.  (E,)
        """
        used = self._used_minutes + np.where(troubled, minutes, -np.asarray(minutes))
        self._used_minutes = np.minimum(np.maximum(used, 0.0), self._lags_minutes)
