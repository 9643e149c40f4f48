"""Checks what a model says: numbers and causes that were not observed are not repeated."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.investigation.telemetry_looks import Shown

LEFT_OUT = "[left out: nothing that was observed supports this sentence]"
_UNITS = {
    "%": ("share", 0.01), "percent": ("share", 0.01),
    "µs": ("s", 1e-6), "us": ("s", 1e-6), "ms": ("s", 1e-3), "milliseconds": ("s", 1e-3), "s": ("s", 1.0),
    "sec": ("s", 1.0), "second": ("s", 1.0), "seconds": ("s", 1.0), "min": ("s", 60.0), "minute": ("s", 60.0),
    "minutes": ("s", 60.0), "h": ("s", 3600.0), "hour": ("s", 3600.0), "hours": ("s", 3600.0),
    "days": ("s", 86_400.0), "bytes": ("B", 1.0), "kb": ("B", 1e3), "mb": ("B", 1e6), "gb": ("B", 1e9),
    "mib": ("B", 2.0**20), "gib": ("B", 2.0**30),
}  # fmt: skip
_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s?([%µa-zA-Z]+)?"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?|\b\d{1,2}:\d\d(?::\d\d)?\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
# Causes, each in the words of models, metrics, alerts and logs.
_CAUSES = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        r"deploy|roll(?:ed|s|ing)?[ -]?out|rollback|release|new(?:er)? version|\bimage\b",
        r"config",
        r"\boom|out of memory|memory|heap",
        r"restart|crash|back-?off|killed|\bup fell",
        r"disk|no space|volume",
        r"certificate|x509|tls|expired",
        r"\bpool\b|connections? (?:exhausted|available)",
        r"packet|network (?:loss|delay|partition)|never arrive|get no answer|dropped",
        r"cpu|throttl",
    )
)
_NEAR = 0.06  # relative: how people round


@dataclass(frozen=True)
class Claim:
    """A sentence of a model, checked; it is replaced if it states what was not observed."""

    text: str
    is_supported: bool


def checked(said: str, shown: Sequence[Shown], services: Iterable[str]) -> tuple[Claim, ...]:
    """The sentences of `said`, checked.

    A cause is supported if a change of that kind was observed of a service that the sentence names, a number
    if it was observed of one, in its unit and as people round it. A sentence that names no service is
    compared with all of them.
    """
    known = sorted(services, key=len, reverse=True)
    sentences = filter(None, (part.strip() for part in _SENTENCE.split(said)))
    return tuple(_checked(sentence, shown, known) for sentence in sentences)


def _checked(sentence: str, shown: Sequence[Shown], services: Sequence[str]) -> Claim:
    named, rest = set[str](), sentence
    for service in services:
        pattern = re.compile(rf"(?<![\w-]){re.escape(service)}(?![\w-])", re.IGNORECASE)
        if pattern.search(rest):
            named.add(service)
            rest = pattern.sub(" ", rest)
    own = [one for one in shown if not named or named.intersection(one.about)]
    about = [one.text for one in own]
    times = {time for text in about for time in _TIME.findall(text)}
    stated = _TIME.findall(rest)
    seen = [quantity for text in about for quantity in _quantities(text)]
    causes = [cause for cause in _CAUSES if cause.search(rest)]
    changed = [one.text for one in own if not one.is_figure]
    seen_causes = all(any(cause.search(text) for text in changed) for cause in causes)
    supported = (
        seen_causes
        and times.issuperset(stated)
        and all(any(_is_same(quantity, other) for other in seen) for quantity in _quantities(rest))
    )
    return Claim(sentence, True) if supported else Claim(LEFT_OUT, False)


def _quantities(text: str) -> list[tuple[float, str]]:
    """Numbers in their plain unit: shares of 1, seconds, bytes; "" for a bare number."""
    found = []
    for number, word in _NUMBER.findall(_TIME.sub(" ", text)):
        kind, size = _UNITS.get(word.lower(), ("", 1.0))
        found.append((float(number.replace(",", "")) * size, kind))
    return found


def _is_same(stated: tuple[float, str], observed: tuple[float, str]) -> bool:
    (one, kind), (other, of) = stated, observed
    if kind and of and kind != of:
        return False
    return abs(one - other) <= _NEAR * max(abs(one), abs(other))
