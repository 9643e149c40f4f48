"""Labels and grades an investigation once its culprit is known."""

import json
from collections.abc import Sequence
from pathlib import Path

from agent.investigation.investigate import ANSWER, INCIDENT
from data.errors import SettingsError
from data.files import jsonl
from data.files.json_file import read_object
from data.files.whole_file import write_whole
from data.sources.files.labelling import label_file


def label_investigation(folder: Path, root_causes: Sequence[str], fault: str | None = None) -> str:
    """Labels and grades the investigation in `folder`; returns the incident's id.

    The grade is 1 if the culprit was named, 0.5 if it was one of several, else 0; `export` takes the steps of
    good ones.

    Raises:
        SettingsError: no investigation there, or no such service in its incident.
    """
    if not (folder / INCIDENT).exists() or not (folder / ANSWER).exists():
        raise SettingsError(f"{folder} holds no investigation: give a folder of investigate --out")
    name = label_file(folder / INCIDENT, root_causes, fault=fault)
    culprits = read_object(folder / ANSWER).get("culprits", [])
    is_among = any(root in culprits for root in root_causes)
    score = 0.0 if not is_among else 1.0 if len(culprits) == 1 else 0.5
    graded = {"root_causes": list(root_causes), "score": score, "success": score > 0.0}
    lines = [{**line, **graded} for _, line in jsonl.read(folder / "episodes.jsonl")]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_whole(folder / "episodes.jsonl", text)
    return name
