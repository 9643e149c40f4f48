"""The project's own files: incidents, observations, windows of them and recorded answers."""

from collections.abc import Iterator

from data.errors import SchemaError
from data.files import jsonl
from data.files.json_stream import items
from data.files.json_text import read_json
from data.incident import Incident
from data.observation import Observation, parse, parse_step
from data.sources.files.opened import File, Head
from data.sources.files.reader import Gathered
from data.sources.own_form import FORM, INCIDENT_SIGNS, is_incident, parse_incident

_FORMS = "give an observation, a list of them oldest first, an answer of /reset or /step, or an incident"
_SIGNS = (*INCIDENT_SIGNS, "observation", "response", "services", "dependency_graph")
_LONGEST_LINE = 1 << 28
_MOST_TOLD = 5  # remarks


class OwnFiles:
    """One value, a list, or one value a line."""

    name = "Firewatch's own JSON"

    def recognises(self, head: Head) -> bool:
        return any(sign in head.paths or f"[].{sign}" in head.paths for sign in _SIGNS)

    def read(self, file: File, into: Gathered) -> None:
        told: dict[str, None] = {}
        for where, value in _values(file):
            values = value if isinstance(value, list) and value and is_incident(value[0]) else [value]
            for index, one in enumerate(values):
                if into.limit is not None and len(into.incidents) >= into.limit:
                    break
                place = f"{where}[{index}]" if len(values) > 1 else where
                if is_incident(one):
                    into.incidents.append(parse_incident(one, place, told.setdefault))
                else:
                    into.incidents.append(_window(one, place, file.path.name))
        for text in list(told)[:_MOST_TOLD]:
            into.recording.note(f"{file.where}: {text}")
        if len(told) > _MOST_TOLD:
            into.recording.note(f"{file.where}: and {len(told) - _MOST_TOLD} more like these")


def _values(file: File) -> Iterator[tuple[str, object]]:
    """Every value and its place."""
    with file.open() as stream:
        first = stream.readline(_LONGEST_LINE)
        while first and not first.strip():
            first = stream.readline(_LONGEST_LINE)
    try:
        is_lines = isinstance(read_json(first.strip()), dict)
    except ValueError:
        is_lines = False
    with file.open() as stream:
        if is_lines:
            for number, record in jsonl.read_lines(stream, file.where, FORM):
                yield f"{file.where}:{number}", record
        else:
            yield from ((file.where, value) for value in items(stream, file.where))


def _window(raw: object, where: str, name: str) -> Incident:
    window = raw if isinstance(raw, list) else [raw]
    if not window:
        raise SchemaError(where, "", raw, _FORMS)
    return Incident.from_observations([_observation(item, where) for item in window], name)


def _observation(raw: object, where: str) -> Observation:
    if isinstance(raw, dict) and "response" in raw:  # a recorded exchange
        raw = raw["response"]
    if isinstance(raw, dict) and "observation" in raw:
        return parse_step(raw, where).observation
    if not isinstance(raw, dict) or "services" not in raw:
        raise SchemaError(where, "", raw, _FORMS)
    return parse(Observation, raw, where)
