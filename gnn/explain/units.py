"""Formats values with their units: 1.02 GB, 250 ms, 12 %."""

from data.channels import Meaning, words_of
from gnn.features.stack import SHARES

_SECONDS = {
    "us": 1e-6, "microseconds": 1e-6, "ms": 1e-3, "milliseconds": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0
}  # fmt: skip
_BYTES = {
    "bytes": 1.0, "byte": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "ki": 2.0**10, "mib": 2.0**20,
    "mi": 2.0**20, "gib": 2.0**30, "gi": 2.0**30,
}  # fmt: skip
_SHARES = frozenset({"rate", "ratio", "share", "util", "utilization", "utilisation", "availability"})
_PERCENT = frozenset({"%", "pct", "perc", "percent", "percentage"})
_PER = frozenset({"per", "rate", "count", "total"})  # "per second", rather than seconds
# (unit, its size, the smallest value to show in it)
_SIZES = (("GB", 1e9, 1e9), ("MB", 1e6, 1e6), ("kB", 1e3, 1e3), ("bytes", 1.0, 0.0))
_DURATIONS = (
    ("days", 86_400.0, 172_800.0), ("h", 3600.0, 7200.0), ("min", 60.0, 120.0), ("s", 1.0, 1.0),
    ("ms", 1e-3, 1e-3), ("µs", 1e-6, 0.0),
)  # fmt: skip
_LARGEST = 999_000_000_000_000  # larger values are shown as "over" this


def amount(value: float, name: str, meaning: Meaning, scale: float) -> str:
    """Formats a value of the metric `name`, with the unit in its name."""
    words = words_of(name).split()
    if meaning.channel in SHARES:
        if scale == 0.01:
            return _percent(value)
        if _SHARES.union(_PERCENT).intersection(words) and abs(value) <= 2.0:
            return _percent(100.0 * value)
    unit = next((word for word in reversed(words) if word in _BYTES), None)
    if unit:
        return _in_units(value * _BYTES[unit], _SIZES)
    unit = next((word for word in reversed(words) if word in _SECONDS), None)
    if unit and not _PER.intersection(words):
        return duration(value * _SECONDS[unit])
    return _number(value)


def duration(seconds: float) -> str:
    """Such as 250 ms, 1.2 s or 4 min."""
    return _in_units(seconds, _DURATIONS)


def _percent(value: float) -> str:
    return f"{value:.1g} %" if 0.0001 < abs(value) < 1.0 else f"{_number(value)} %"


def _number(value: float) -> str:
    """Three significant digits without an exponent: 5,620 and 0.0000123."""
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    rounded = float(text)
    if abs(rounded) > _LARGEST:
        return f"{'over ' if value > 0 else 'under -'}{_LARGEST:,}"
    return f"{rounded:,.0f}" if abs(rounded) >= 1.0 else f"{rounded:z.9f}".rstrip("0").rstrip(".")


def _in_units(value: float, units: tuple[tuple[str, float, float], ...]) -> str:
    """Formats a value in the first unit that it is large enough for; 0 in the base unit."""
    for name, size, least in units:
        if abs(value) >= least or (value == 0.0 and size == 1.0):
            return f"{_number(value / size)} {name}"
    name, size, _ = units[-1]
    return f"{_number(value / size)} {name}"
