"""Writes root causes into a file of incidents and leaves everything else unchanged."""

import difflib
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import SchemaError, SettingsError
from data.files.json_stream import items
from data.files.jsonl import is_packed
from data.files.whole_file import write_whole
from data.sources.files.opened import File
from data.sources.own_form import FORM, is_incident, parse_incident


def label_file(
    path: Path, root_causes: Sequence[str], which: str | None = None, fault: str | None = None
) -> str:
    """Labels one incident of a file, whole or not at all; returns its id.

    Args:
        path: one incident, a list of them, or one a line; may be gzip.
        which: its id, if the file holds several.

    Raises:
        SchemaError: the file holds no incident.
        SettingsError: no such incident or no such service in it.
    """
    file = File(path)
    with file.open() as stream:
        values = list(items(stream, file.where))
    is_list = len(values) == 1 and isinstance(values[0], list)
    records: list[Any] = values[0] if is_list else values
    name, chosen = _chosen(records, which, path)
    services = parse_incident(chosen, file.where).services
    for root in root_causes:
        if root not in services:
            close = difflib.get_close_matches(root, services, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"its services are {', '.join(services[:10])}"
            raise SettingsError(f"{path}: the incident has no service '{root}' – {hint}")
    chosen["root_causes"] = list(root_causes)
    if fault is not None:
        chosen["fault"] = fault
    is_pretty = not is_list and len(values) == 1 and path.suffix == ".json"
    lines = (
        [json.dumps(values[0], indent=1)]
        if is_list
        else [json.dumps(one, indent=1 if is_pretty else None, ensure_ascii=False) for one in values]
    )
    text = ("\n".join(lines) + "\n").encode()
    write_whole(path, gzip.compress(text) if is_packed(path.name, path.read_bytes()[:2]) else text)
    return name


def _chosen(records: Sequence[Any], which: str | None, path: Path) -> tuple[str, dict[str, Any]]:
    incidents = [(number, one) for number, one in enumerate(records, 1) if is_incident(one)]
    names = [str(one.get("incident_id") or f"{path.name}:{number}") for number, one in incidents]
    if not names:
        fix = f"give {FORM}; firewatch import {path} --out incidents.jsonl makes one of telemetry"
        raise SchemaError(str(path), "", records[0] if records else "nothing", fix)
    if which is None and len(names) > 1:
        raise SettingsError(f"{path} holds {len(names)} incidents – choose with --incident {names[0]}")
    if which is not None and which not in names:
        raise SettingsError(f"{path}: there is no incident '{which}' – it holds {', '.join(names[:5])}")
    name = which or names[0]
    return name, incidents[names.index(name)][1]
