"""Fills gaps in a service's own metrics with what its callers measure of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from data.channels import Channel, ChannelMap
from data.incident import Incident, Series

Metrics = Mapping[str, Series]


def with_caller_metrics(incident: Incident, channel_map: ChannelMap) -> Mapping[str, Metrics]:
    """Each service's telemetry, plus its callers' metrics for channels that it doesn't measure itself.

    A service mesh often measures every call but few services. Where several callers measure the same, the
    worst value at each point counts.
    """
    if not incident.call_telemetry:
        return incident.telemetry
    services = frozenset(incident.services)
    by_callers: defaultdict[str, defaultdict[str, list[Series]]] = defaultdict(lambda: defaultdict(list))
    for (caller, callee), metrics in incident.call_telemetry.items():
        if callee in services and caller != callee:
            for name, series in metrics.items():
                by_callers[callee][name].append(series)
    telemetry = dict(incident.telemetry)
    for callee, of_callers in by_callers.items():
        own = telemetry.get(callee, {})
        known = _channels(own, channel_map)
        new = {
            name: _worst(several, inverted=meaning.inverted)
            for name, several in of_callers.items()
            if (meaning := channel_map(name)) is not None and meaning.channel not in known
        }
        telemetry[callee] = {**own, **new}
    return telemetry


def _channels(metrics: Metrics, channel_map: ChannelMap) -> frozenset[Channel]:
    return frozenset(meaning.channel for name in metrics if (meaning := channel_map(name)) is not None)


def _worst(several: Sequence[Series], *, inverted: bool) -> Series:
    """Merges series: incidents are aligned at their start, baselines at their end."""
    if len(several) == 1:
        return several[0]
    worst = np.fmin if inverted else np.fmax
    length = max(len(series.incident) for series in several)
    length0 = max(len(series.baseline) for series in several)
    now, past = (np.full((len(several), points), np.nan) for points in (length, length0))
    for row, series in enumerate(several):
        now[row, : len(series.incident)] = series.incident
        past[row, length0 - len(series.baseline) :] = series.baseline
    return Series(worst.reduce(now, axis=0), worst.reduce(past, axis=0))
