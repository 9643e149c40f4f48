"""Reads a run, an evaluation or an ablation and renders the page that fits."""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from agent.summary import HEADINGS, headline, summary_row
from agent.trajectory import RunFolder, read_config
from data.errors import SchemaError, SettingsError

_SUSPECTS = 5


def build_report(path: Path) -> str:
    """The page for a run folder, an ablation folder, or the JSON of an evaluation or ablation.

    Raises:
        SettingsError: nothing there that a report could be made of.
        SchemaError: a file that does not parse.
    """
    if (path / "run.json").exists():
        return _render("run.html.j2", _run(path))
    file = path / "ablation.json" if path.is_dir() else path
    if not file.is_file():
        raise SettingsError(
            f"{path}: no run.json and no ablation.json – give a result folder or its JSON file"
        )
    result = _read(file)
    if "arms" in result:
        return _render("ablation.html.j2", {"title": f"Ablation {path.name}", "result": result})
    if "results" in result:
        return _render("evaluation.html.j2", {"title": f"Evaluation {path.name}", "result": result})
    raise SchemaError(str(file), "", sorted(result), "give the JSON of 'evaluate' or 'ablate'")


def _run(path: Path) -> dict[str, Any]:
    folder = RunFolder(path, read_config(path), frozenset())
    episodes = folder.episodes
    steps: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for step in folder.steps:
        steps.setdefault((step["task"], step["seed"]), []).append(step)
    return {
        "title": f"Run {path.name}",
        "headline": headline(episodes),
        "facts": {k: v for k, v in _read(path / "run.json").items() if k not in ("config", "versions")},
        "headings": HEADINGS,
        "rows": [summary_row(episode) for episode in episodes],
        "tasks": [(episode, steps.get((episode["task"], episode["seed"]), [])) for episode in episodes],
        "suspects": _SUSPECTS,
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SchemaError(
            f"{file}:{error.lineno}", "", error.doc[error.pos : error.pos + 20], "not JSON"
        ) from None
    if not isinstance(result, dict):
        raise SchemaError(str(file), "", result, "give a JSON object")
    return result


def _render(template: str, values: Mapping[str, Any]) -> str:
    """Renders with everything escaped: logs and names with HTML in them stay text."""
    environment = Environment(loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined)
    environment.filters["figure"] = _figure
    return environment.get_template(template).render(values)


def _template(name: str) -> str:
    return (resources.files("agent.report") / "templates" / name).read_text(encoding="utf-8")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
