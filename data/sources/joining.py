"""Merges what several sources report, even if they name a service slightly differently."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from data.incident import Page
from data.sources.alignment import Pieces
from data.sources.recording import Recording
from data.words import few

_SAID = 5  # pairs of names in a note
_BETWEEN = re.compile(r"[-_.\s]+")
_ANY_SERVICE = re.compile(r"^(?:service|svc)|(?:service|svc)$")


def same_services(known: Iterable[str], new: Iterable[str]) -> dict[str, str]:
    """{a name in one source: its name in the other}, where that is unambiguous.

    Names may differ in a namespace, in what separates words, and in "service" or "svc".
    """
    ours, theirs = _by_core(known), _by_core(new)
    pairs = ((theirs[core], ours[core]) for core in theirs.keys() & ours.keys())
    return {
        one: other for [one, *more], [other, *others] in pairs if not more and not others and one != other
    }


def _by_core(names: Iterable[str]) -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        words = _BETWEEN.sub("", name.lower().rpartition("/")[2].partition(".svc")[0])
        if core := _ANY_SERVICE.sub("", words):
            found[core].append(name)
    return found


def join(
    recording: Recording,
    more: Recording,
    resolve: Callable[[str], str] = lambda name: name,
    keep_known: bool = False,
) -> None:
    """Adds what another source reports; a note says which names were treated as the same.

    Args:
        resolve: turns a name of that source into ours; "" drops it.
        keep_known: add no values to known metrics: sampled traces have other rates.
    """
    same = same_services(_named(recording), map(resolve, _named(more)))
    if same:
        shown = few((f"{one} = {other}" for one, other in sorted(same.items())), _SAID)
        recording.note(f"Treated as the same service: {shown}.")

    def name(of: str) -> str:
        own = resolve(of)
        return same.get(own, own)

    for service, metrics in more.services.items():
        if one := name(service):
            _add(recording.services.setdefault(one, {}), metrics, keep_known)
    for caller, callees in more.call_graph.items():
        for callee in callees:
            pair = name(caller), name(callee)
            if all(pair) and pair[0] != pair[1]:
                recording.call(*pair)
                if measured := more.calls.get((caller, callee)):
                    _add(recording.calls.setdefault(pair, {}), measured, keep_known)
    for event, time_s in more.alerts.items():
        of = name(event.caller) if event.caller else event.caller
        recording.alert(replace(event, service=name(event.service), caller=of), time_s)
    for event, share in more.routines.items():
        recording.routines[replace(event, service=name(event.service))] = share
    for replica, workload in more.owners.items():
        recording.owners[name(replica)] = name(workload)
    if more.first_page:
        recording.page(name(more.first_page.service), more.first_page.metric)
    for note in more.notes:
        recording.note(note)
    recording.at = more.at if recording.at is None else recording.at


def _named(recording: Recording) -> list[str]:
    page: Page | None = recording.first_page
    return [*recording.names, *(one.service for one in recording.alerts), *([page.service] if page else ())]


def _add(known: Pieces, metrics: Pieces, keep_known: bool) -> None:
    for metric, pieces in metrics.items():
        if metric not in known:
            known[metric] = list(pieces)
        elif not keep_known:
            known[metric] += pieces
