"""One case from JSON: an observation, an environment's answer, a window of either, or an incident."""

import io
from pathlib import Path

from data.errors import SchemaError
from data.files import jsonl
from data.files.json_text import NotJson, read_json
from data.incident import Incident
from data.observation import Observation, parse, parse_step
from data.sources.own_form import parse_incident

_FORMS = "give an observation, a list of them oldest first, an answer of /reset or /step, or an incident"


def read_cases(raw: bytes, where: str, incident_id: str | None = None) -> tuple[Incident, ...]:
    """Reads whatever form of evidence `raw` holds: one case, or one a line.

    Args:
        raw: one JSON value, or JSON lines.
        where: what is being read.
        incident_id: which incident; all when None.

    Raises:
        SchemaError: not JSON, none of the forms, or no such incident.
    """
    cases = list(enumerate(_cases(raw, where), start=1))
    if incident_id is not None:
        chosen = [(number, case) for number, case in cases if _name(case) == incident_id]
        if not chosen:
            names = [name for _, case in cases if (name := _name(case)) is not None]
            known = ", ".join(names[:5]) or "no incident_id at all"
            raise SchemaError(where, "incident_id", known, f"there is no '{incident_id}': choose one that is")
        cases = chosen[:1]
    name = Path(where).name
    return tuple(
        _incident(case, f"{where}, case {number}" if number > 1 else where, name) for number, case in cases
    )


def _cases(raw: bytes, where: str) -> list[object]:
    """The values of JSON lines, at least one, or the one value that there is."""
    try:
        return [read_json(raw)]
    except NotJson as error:
        if error.line is None or not _begins_with_a_line(raw):
            at = f"{where}:{error.line}" if error.line else where
            raise SchemaError(at, "", error.found, f"{error.reason} – {_FORMS}") from None
    return [record for _, record in jsonl.read_lines(io.BytesIO(raw), where, _FORMS)]


def _begins_with_a_line(raw: bytes) -> bool:
    """Whether the first line is JSON by itself."""
    try:
        read_json(raw.lstrip().partition(b"\n")[0])
    except NotJson:
        return False
    return True


def _name(raw: object) -> str | None:
    """The id of an incident; None of what is none."""
    return str(raw["incident_id"]) if isinstance(raw, dict) and "incident_id" in raw else None


def _incident(raw: object, where: str, name: str) -> Incident:
    if isinstance(raw, dict) and ("incident_id" in raw or "call_graph" in raw):
        return parse_incident(raw, where)
    window = raw if isinstance(raw, list) else [raw]
    if not window:
        raise SchemaError(where, "", raw, _FORMS)
    if any(_name(item) is not None for item in window):
        raise SchemaError(where, "", raw, "a list of incidents: write one a line, without a list around them")
    return Incident.from_observations([_observation(item, where) for item in window], name)


def _observation(raw: object, where: str) -> Observation:
    if isinstance(raw, dict) and "response" in raw:  # a recorded exchange
        raw = raw["response"]
    if isinstance(raw, dict) and "observation" in raw:
        return parse_step(raw, where).observation
    if not isinstance(raw, dict) or "services" not in raw:
        raise SchemaError(where, "", raw, _FORMS)
    return parse(Observation, raw, where)
