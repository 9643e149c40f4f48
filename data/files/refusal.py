"""Turns pydantic's validation errors into messages for users."""

import re
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from data.errors import MISSING, SchemaError

_OBJECT, _LIST, _NUMBER, _WHOLE = (
    "give an object, {…}",
    "give a list, […]",
    "give a number",
    "give a whole number",
)
_WORDS: Mapping[str, str] = {
    "missing": "give one",
    "extra_forbidden": "no such field is known here; leave it away",
    "string_type": 'give a text, "…"',
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "finite_number": "give a finite number",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "pattern_type": "give a regular expression as text",
    "pattern_regex": "give a regular expression that Python can read",
}
_LIMITS: Mapping[str, str] = {
    "greater_than": "give a number above {gt:g}",
    "greater_than_equal": "give {ge:g} or more",
    "less_than": "give a number below {lt:g}",
    "less_than_equal": "give {le:g} or less",
}
# Pydantic's name for a union member or a key, which is no part of a path in the file.
_FORM = re.compile(r"[a-z-]+\[.*\]|\[key\]", re.DOTALL)


def schema_error(error: ValidationError, where: str) -> SchemaError:
    """The first problem in `error`: the field's path, its value and what belongs there."""
    first = error.errors(include_url=False)[0]
    path = list(first["loc"])
    if path and isinstance(path[-1], str) and _FORM.fullmatch(path[-1]):
        path.pop()
    value = MISSING if first["type"] == "missing" else first["input"]
    return SchemaError(where, ".".join(map(str, path)), value, _fix(first))


def _fix(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("enum", "literal_error"):
        return f"give {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _LIMITS:
        return _LIMITS[kind].format(**context)
    return _WORDS.get(kind) or error["msg"].replace("Input should", "it should")
