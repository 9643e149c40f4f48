"""Splits incidents into those to learn from and those that only tell what is usual."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from data.incident import Incident


def split_history(
    incidents: Sequence[Incident], history: Sequence[Incident]
) -> tuple[tuple[Incident, ...], tuple[Incident, ...]]:
    """Those to learn from, and each past incident once that is not among them.

    A past incident without a root is not in health for that: it is not learnt from. Past incidents that bear
    one id and differ are different ones; one that is learnt from is known by its id, unless others that are
    learnt from bear it, too: then by what was seen.
    """
    seen: dict[bytes, Incident] = {}
    for one in history:
        if _evidence(one) not in seen or one.root_causes:
            seen[_evidence(one)] = one
    bearers = Counter(name for name, _ in {(one.incident_id, _evidence(one)) for one in incidents})

    def identity(one: Incident) -> str | bytes:
        return one.incident_id if bearers[one.incident_id] <= 1 else _evidence(one)

    past = {identity(one) for one in seen.values()}
    learnt = tuple(one for one in incidents if one.root_causes or identity(one) not in past)
    taken = {identity(one) for one in learnt}
    return learnt, tuple(one for one in seen.values() if identity(one) not in taken)


def _evidence(one: Incident) -> bytes:
    """Tells apart whatever differs in more than its labels."""
    told = (one.incident_id, one.system, one.services, dict(one.call_graph), one.alerts, one.page)
    digest = hashlib.sha256(repr(told).encode())
    for at, metrics in chain(one.telemetry.items(), one.call_telemetry.items()):
        for name, series in metrics.items():
            digest.update(repr((at, name, series.incident.size)).encode())
            digest.update(series.incident.tobytes() + series.baseline.tobytes())
    return digest.digest()
