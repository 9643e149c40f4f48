"""Notable changes of a service or a call, from the same deviations that the network saw."""

from collections.abc import Callable, Collection, Container, Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from data.arrays import Bools, Floats
from data.channels import Channel, ChannelMap, Meaning, words_of
from gnn.explain.units import amount
from gnn.features.deviation import AGES, STATISTICS, Deviations
from gnn.features.drift import LATENCY
from gnn.features.stack import CHANNELS, SHARES, Stack

# More or less of these is neither good nor bad by itself.
FLOW = frozenset({Channel.TRAFFIC, Channel.NETWORK_IN, Channel.NETWORK_OUT})

# A decrease of these is no improvement: the service may just get fewer calls.
_LOAD = frozenset({Channel.CPU, Channel.MEMORY, Channel.SATURATION, Channel.DISK_IO})
_DURATIONS = frozenset({*LATENCY, Channel.OWN_LATENCY, Channel.CLIENT_LATENCY})
_NOTABLE = float(np.arcsinh(3.0))  # robust z, as asinh, from which a deviation is worth a sentence
_LOUD = float(np.arcsinh(10.0))  # from which even a single outlier is
_STAYS = float(np.arcsinh(1.0))  # robust z, as asinh, of a rise that is more than an outlier
_GROWN = float(np.arcsinh(0.3))  # relative change, as asinh, that a metric without a baseline needs
_UNSCALED = float(np.arcsinh(10.0))  # largest strength if the baseline was 0, which gives no scale
_MANY = 10  # from this many points on, a baseline may have two outliers
_FIRST = 0.2  # share of the points: these may still be from before
_MISSING = 0.5  # share of the points
_UP, _DOWN, _BEYOND, _PEER, _GROWTH, _GONE = (
    STATISTICS.index(name) for name in ("up", "down", "beyond", "peer", "growth", "gone")
)


class Turn(IntEnum):
    """Which way a metric has changed; the greater is told first."""

    BETTER = 0
    OTHER = 1
    WORSE = 2


class Change(NamedTuple):
    """A change of one metric; the greater is told first."""

    turn: Turn
    weight: float
    decisive: bool  # such as a restart, which says more than any figure
    strength: float
    text: str
    metric: str
    channel: Channel


class Changes:
    """Finds and words the changes of services or of calls.

    Args:
        since: words for the onset, from the number of a point and the number of points.
    """

    def __init__(
        self, block: Stack, deviations: Deviations, channel_map: ChannelMap, since: Callable[[int, int], str]
    ) -> None:
        self._block, self._each = block, deviations.each
        self._usual, self._z = deviations.usual, deviations.z
        self._channel_map, self._since = channel_map, since

    def of(self, row: int, names: Container[str], weigh: Callable[[Channel], float]) -> Iterator[Change]:
        """The notable changes of one row.

        Args:
            weigh: a channel's contribution to the ranker's score.
        """
        if not self._each.size:
            return
        for m in np.flatnonzero(_is_notable(self._each[:, row])).tolist():
            name = self._block.names[m]
            meaning = self._channel_map(name)
            if name not in names or meaning is None or meaning.channel in AGES:
                continue
            change = self._gone(m, row, name) or self._moved(m, row, name, meaning)
            if change is not None:
                turn, strength, text = change
                decisive = turn is Turn.WORSE and (
                    meaning.channel is Channel.RESTARTS or words_of(name).split()[-1:] == ["up"]
                )
                yield Change(turn, weigh(meaning.channel), decisive, strength, text, name, meaning.channel)

    def worse(self, channels: Collection[Channel]) -> Bools:
        """Which rows got worse on any of `channels`: (S,)."""
        chosen = _among(channels)[self._block.channel]
        each = self._each[chosen]
        worse = (each[..., _UP] >= _LOUD) & (each[..., _BEYOND] >= _STAYS)
        if self._usual is None:
            is_share = _among(SHARES)[self._block.channel[chosen]]
            worse = (each[..., _GROWTH] >= _GROWN) | (is_share[:, None] & (each[..., _PEER] >= _NOTABLE))
        return np.asarray(worse.any(axis=0))

    def _gone(self, m: int, row: int, name: str) -> tuple[Turn, float, str] | None:
        if self._usual is None or self._each[m, row, _GONE] <= _MISSING:
            return None
        known = np.isfinite(self._block.incident[m, row])
        if known[int(_FIRST * len(known)) :].any():
            return None
        return Turn.WORSE, _NOTABLE, f"{name} is no longer reported"

    def _moved(self, m: int, row: int, name: str, meaning: Meaning) -> tuple[Turn, float, str] | None:
        points = self._block.incident[m, row]
        if not np.isfinite(points).any():
            return None
        if self._usual is not None and np.isfinite(self._block.baseline[m, row]).any():
            return self._from_past(m, row, name, meaning)
        start = self._from_start(m, row, name, meaning)
        if start is not None and (start[0] is Turn.WORSE or meaning.channel not in SHARES):
            return start
        return self._from_peers(m, row, name, meaning) or start

    def _from_past(self, m: int, row: int, name: str, meaning: Meaning) -> tuple[Turn, float, str] | None:
        """Compares with the baseline; getting worse takes precedence over getting better."""
        assert self._usual is not None and self._z is not None
        up, down = self._each[m, row, _UP], self._each[m, row, _DOWN]
        if max(up, down) < _NOTABLE:
            return None
        if up < _LOUD and self._each[m, row, _BEYOND] < _STAYS and down < _NOTABLE:
            return None  # an outlier
        worse = up >= _NOTABLE if meaning.channel not in FLOW else up >= down
        z = self._z[m, row] if worse else -self._z[m, row]
        strength = float(up if worse else down)
        usual = float(self._usual.center[m, row, 0])
        if usual == 0.0 and not np.nan_to_num(self._block.baseline[m, row]).any():
            if meaning.channel in _DURATIONS:  # no calls before
                return self._from_start(m, row, name, meaning)
            strength = min(strength, _UNSCALED)
        worst = int(np.nanargmax(z))
        if self._has_been_there(m, row, worst, worse):
            return None
        onset = int(np.argmax(np.nan_to_num(z) >= _NOTABLE))
        return self._told(
            name, meaning, usual, float(self._block.incident[m, row, worst]), worse, strength, onset
        )

    def _has_been_there(self, m: int, row: int, worst: int, worse: bool) -> bool:
        """Whether the baseline reached the same value, outliers aside."""
        sign = 1.0 if worse else -1.0
        past = np.sort(sign * self._block.baseline[m, row][np.isfinite(self._block.baseline[m, row])])[::-1]
        return bool(past[2 if len(past) >= _MANY else 0] >= sign * self._block.incident[m, row, worst])

    def _from_start(self, m: int, row: int, name: str, meaning: Meaning) -> tuple[Turn, float, str] | None:
        """Compares with the first point of the incident."""
        growth = float(self._each[m, row, _GROWTH])
        if abs(growth) < _GROWN:
            return None
        points = self._block.incident[m, row]
        there = np.flatnonzero(np.isfinite(points))
        if meaning.channel in _DURATIONS:
            there = there[points[there] != 0.0]  # 0: no calls
        if len(there) < 2:
            return None
        first, last = float(points[there[0]]), float(points[there[-1]])
        if abs(last - first) < 0.3 * abs(first):
            return None
        far = np.isfinite(points) & ((points - first) * np.sign(last - first) >= 0.3 * abs(first) + 1e-12)
        return self._told(name, meaning, first, last, last > first, abs(growth), int(far.argmax()))

    def _from_peers(self, m: int, row: int, name: str, meaning: Meaning) -> tuple[Turn, float, str] | None:
        """Compares with the latest values of the other services, in the bad direction only."""
        z = float(self._each[m, row, _PEER])
        if z < _NOTABLE:
            return None
        points = self._block.incident[m]
        latest = [known[-1] for one in points if len(known := one[np.isfinite(one)])]
        own = points[row][np.isfinite(points[row])][-1]
        usual = float(np.median(latest))
        far = np.isfinite(points[row]) & (points[row] >= (own + usual) / 2)
        text = f"{name} is {self._amount(m, own, name, meaning)} where the others have "
        text += self._amount(m, usual, name, meaning) + self._when(int(far.argmax()))
        return (Turn.OTHER if meaning.channel in FLOW else Turn.WORSE), z, text

    def _told(
        self, name: str, meaning: Meaning, start: float, end: float, worse: bool, strength: float, onset: int
    ) -> tuple[Turn, float, str]:
        m = self._block.names.index(name)
        if meaning.channel in FLOW:
            turn = Turn.OTHER
        elif worse:
            turn = Turn.WORSE
        else:
            turn = Turn.OTHER if meaning.channel in _LOAD else Turn.BETTER
        verb = "rose" if (end > start) != meaning.inverted else "fell"
        path = f"from {self._amount(m, start, name, meaning)} to {self._amount(m, end, name, meaning)}"
        improved = ", an improvement" if turn is Turn.BETTER else ""
        return turn, strength, f"{name} {verb} {path}{improved}{self._when(onset)}"

    def _when(self, onset: int) -> str:
        when = self._since(onset, self._block.incident.shape[2])
        return f", {when}" if when else ""

    def _amount(self, m: int, value: float, name: str, meaning: Meaning) -> str:
        """A value of the block in its original unit."""
        scale = float(self._block.scale[m])
        if meaning.inverted:
            value = (1.0 if meaning.channel in SHARES else 0.0) - value
        return amount(value / scale, name, meaning, scale)


def _is_notable(each: Floats) -> Bools:
    """Which metrics of a row may have changed notably, from their statistics: (M, K) → (M,)."""
    from_past = (each[:, (_UP, _DOWN, _PEER)] >= _NOTABLE).any(axis=1) | (each[:, _GONE] > _MISSING)
    return np.asarray((each[:, 0] > 0) & (from_past | (np.abs(each[:, _GROWTH]) >= _GROWN)))


def _among(channels: Collection[Channel]) -> Bools:
    """A mask of these channels: (C,)."""
    return np.array([channel in channels for channel in CHANNELS])
