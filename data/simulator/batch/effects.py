"""Applies a simulated fault to a real system's metric: the signal's change, in the metric's own unit.

Shapes: T ticks of the incident, S services, N points of the metric's incident.
"""

import re
from collections.abc import Mapping

import numpy as np

from data.arrays import Bools, Floats
from data.channels import Channel, Meaning
from data.simulator.batch.healthy import Kind
from data.simulator.batch.signals import NEEDS_REQUESTS

_SIGNAL = {
    Channel.ERROR: "error",
    Channel.OWN_LATENCY: "own_latency",
    Channel.CLIENT_ERROR: "client_error",
    Channel.CLIENT_LATENCY: "client_latency",
    Channel.TRAFFIC: "traffic",
    Channel.CPU: "cpu",
    Channel.MEMORY: "memory",
    Channel.SATURATION: "saturation",
    Channel.NETWORK_IN: "net_in",
    Channel.NETWORK_OUT: "net_out",
    Channel.NETWORK_FAULT: "net_fault",
    Channel.DISK_IO: "disk_io",
    Channel.RESTARTS: "restarts",
    Channel.LOGS: "log_errors",
    Channel.LOG_SHIFT: "log_shift",
    Channel.DEPLOY_AGE: "deploy_age",
    Channel.CONFIG_AGE: "config_age",
    Channel.UPTIME: "uptime",
}
_SHARES = {Channel.ERROR, Channel.CLIENT_ERROR, Channel.CPU, Channel.MEMORY, Channel.SATURATION}
_AGES = {Channel.DEPLOY_AGE, Channel.CONFIG_AGE, Channel.UPTIME}
_ADDED = {Channel.LOG_SHIFT, Channel.RESTARTS}  # always in the unit of the signal
# Counts and amounts that are usually near zero: increases are multiples of the system's own large values.
_COUNTED = {Channel.ERROR, Channel.CLIENT_ERROR, Channel.SATURATION, Channel.NETWORK_FAULT, Channel.LOGS}
_LOUDEST = 5.0


def signal_of(name: str, meaning: Meaning) -> str:
    """The simulated signal that corresponds to the metric `name`."""
    if meaning.channel == Channel.LATENCY_MID:
        return "latency_mean" if re.search("mean|avg|average", name, re.IGNORECASE) else "latency_p50"
    if meaning.channel == Channel.LATENCY_TAIL:
        percentile = re.search(r"9[05](?!\d)", name)
        return f"latency_p{percentile[0]}" if percentile else "latency_p99"
    return _SIGNAL[meaning.channel]


class Effect:
    """How one metric of one incident follows its signal.

    Args:
        meaning: of the metric.
        kind: of its values.
        calm: its signal at rest.  (S,)
        now: its signal during the incident, NaN where it vanishes.  (T, S)
        loudness: for counts, how many large everyday values a full signal equals, from 0 (one) to 1 (most).
    """

    def __init__(self, meaning: Meaning, kind: Kind, calm: Floats, now: Floats, loudness: float) -> None:
        self._meaning, self._kind, self._calm, self._now = meaning, kind, calm, now
        self._unit = kind.typical * _LOUDEST**loudness
        self.per = meaning.per

    def __call__(self, service: int, points: Floats, whole: Floats | None = None) -> Floats:
        """The incident's points under the fault; missing and unaffected ones stay as they are.

        Args:
            service: whose metric this is, or the callee of its calls.
            points: as measured in health.  (N,)
            whole: the metric that this one is a count out of, if both are measured.  (N,)
        """
        ticks = ((np.arange(len(points)) + 0.5) * len(self._now) / max(len(points), 1)).astype(np.int64)
        now, calm = self._now[ticks, service], float(self._calm[service])
        channel, scale, worse_is_less = self._meaning.channel, self._meaning.scale, self._meaning.inverted
        moved = now - calm
        if channel in _AGES:
            changed = np.minimum(points, now / scale)
        elif not moved.any():
            changed = points
        elif channel in _ADDED:
            changed = points + moved / scale
        elif self.per:
            of = self._unit if whole is None else np.where(np.isfinite(whole), whole, self._unit)
            changed = points + np.clip(moved, 0.0, 1.0) * of
        elif channel in _SHARES and self._kind.is_share:
            # Calculate in 0..1 with higher being worse, whichever way the metric counts.
            usual = 1.0 - scale * points if worse_is_less else scale * points
            worse = np.clip(usual + moved, np.minimum(usual, 0.0), np.maximum(usual, 1.0)) - usual
            changed = points + (-worse if worse_is_less else worse) / scale
        elif worse_is_less:  # free memory, ready instances
            changed = points * (1.0 - now) / max(1.0 - calm, 1e-3)
        elif channel in _COUNTED:
            changed = points + np.maximum(moved, 0.0) * self._unit
        else:
            changed = points * (now / calm) if calm > 0.0 else points
        return np.asarray(changed)


def moves(signals: Mapping[str, Floats], unserved: Bools) -> dict[str, Floats]:
    """Prepares signals for metrics: durations only where requests are served, and log lines per request.

    Args:
        signals: of a run.  {signal: (1 + T, S)}
        unserved: where hardly any request is served.  (1 + T, S)
    """
    served = np.where(unserved, np.nan, 1.0)
    lines = signals["log_errors"] / (10.0 * np.maximum(signals["traffic"], 1e-9))
    durations = {name: signals[name] * served for name in NEEDS_REQUESTS}
    return {**signals, **durations, "log_errors": lines}
