"""One case from JSON: an observation, an environment's answer, a window of either, or an incident."""

import json
from pathlib import Path

from data.errors import SchemaError
from data.incident import Incident
from data.incidents import parse_incident
from data.observation import Observation, parse, parse_step

_FORMS = "give an observation, a list of them oldest first, an answer of /reset or /step, or an incident"


def read_case(text: str, where: str) -> Incident:
    """Reads whatever form of evidence `text` holds; of JSON lines, the first incident.

    Raises:
        SchemaError: not JSON, or none of the forms.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError:
        raw = _first_line(text, where)
    if isinstance(raw, dict) and "incident_id" in raw:
        return parse_incident(raw, where)
    window = raw if isinstance(raw, list) else [raw]
    if not window:
        raise SchemaError(where, "", raw, _FORMS)
    return Incident.from_observations([_observation(item, where) for item in window], Path(where).name)


def _first_line(text: str, where: str) -> object:
    line = next((line for line in text.splitlines() if line.strip()), "")
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        raise SchemaError(where, "", line, f"not JSON: {_FORMS}") from None


def _observation(raw: object, where: str) -> Observation:
    if isinstance(raw, dict) and "response" in raw:  # a recorded exchange
        raw = raw["response"]
    if isinstance(raw, dict) and "observation" in raw:
        return parse_step(raw, where).observation
    if not isinstance(raw, dict) or "services" not in raw:
        raise SchemaError(where, "", raw, _FORMS)
    return parse(Observation, raw, where)
