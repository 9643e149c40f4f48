"""A report as one HTML file that opens offline, whatever is quoted in it staying text."""

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

_ROOM_FOR_REPLAYS = 3_500_000  # characters; the plots take one million, a page is to stay below five


def render_html(report: Report) -> str:
    """The whole page; replays that there is no room for are left out, and the page says so."""
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
    """Words and tables of a report without the page around them, as a notebook shows them."""
    return _template("fragment.html.j2").render(report=report)


def _template(name: str) -> Template:
    environment = Environment(loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined)
    environment.filters["json_text"] = _json_text
    return environment.get_template(name)


def _packed(report: Report) -> Sequence[dict[str, str]]:
    """The replays in the report's order as far as they fit, compressed: prompts repeat each other."""
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
    """Vega, Vega-Lite and Vega-Embed from Altair's companion; putting them together takes seconds."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed")


def _json_text(value: Any) -> Markup:
    """JSON inside a script element; no text in it can end the element or open a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _part(name: str) -> str:
    return (resources.files("agent.report") / "templates" / name).read_text(encoding="utf-8")
