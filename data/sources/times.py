"""Reads times of any form as Unix seconds, and writes them."""

from datetime import UTC, datetime

from data.observation import LARGEST

# From these sizes on a number is in nanoseconds, microseconds or milliseconds: all of them after 2001.
_UNITS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))


def seconds(value: object) -> float | None:
    """A number of seconds, or of a smaller unit as its size tells, or an ISO date; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _of_date(str(value))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
        return None
    return float(value) * next((unit for least, unit in _UNITS if abs(value) >= least), 1.0)


def _of_date(text: str) -> float | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    if date.year < 1971:  # a date that was never set
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def iso_time(time_s: float) -> str:
    """A time as people read it: 2026-11-30T09:15:00Z."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
