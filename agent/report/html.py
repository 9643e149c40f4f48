"""Renders a report as one HTML file that opens offline; all quoted text is escaped."""

import base64
import gzip
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import vl_convert
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from agent.report.charts import timeline
from agent.report.document import Report

_ROOM_FOR_REPLAYS = 3_500_000  # characters; plots take one million, and a page should stay below five


def render_html(report: Report) -> str:
    """The whole page; if replays don't fit, the page says so."""
    packed = _packed(report)
    return _template("page.html.j2").render(
        report=report,
        style=Markup(_part("page.css")),
        script=Markup(_part("page.js")),
        library=Markup(_library() if packed or any(part.charts for part in report.sections) else ""),
        timeline=timeline(),
        replays=packed,
        keys={replay["key"] for replay in packed},
        left_out=len(report.replays) - len(packed),
    )


def render_fragment(report: Report) -> str:
    """The text and tables of a report, for a notebook."""
    return _template("fragment.html.j2").render(report=report)


def _template(name: str) -> Template:
    environment = Environment(loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined)
    environment.filters["json_text"] = _json_text
    return environment.get_template(name)


def _packed(report: Report) -> Sequence[dict[str, str]]:
    """The replays that fit, in the report's order, compressed because prompts are repetitive."""
    packed: list[dict[str, str]] = []
    room = _ROOM_FOR_REPLAYS
    for replay in report.replays:
        content = json.dumps(replay.content, separators=(",", ":")).encode()
        encoded = base64.b64encode(gzip.compress(content, mtime=0)).decode()
        room -= len(encoded)
        if room < 0:
            break
        packed.append({"key": replay.key, "title": replay.title, "content": encoded})
    return packed


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script; bundling takes seconds."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed")


def _json_text(value: Any) -> Markup:
    """JSON for a script element, escaped so that no text can end the element or open a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _part(name: str) -> str:
    return (resources.files("agent.report") / "templates" / name).read_text(encoding="utf-8")
