"""Numbers and lists of names in sentences."""

from collections.abc import Iterable


def count(number_of: int, one: str, many: str = "") -> str:
    """Such as "1 task" and "3 tasks"."""
    return f"{number_of:,} {one}" if number_of == 1 else f"{number_of:,} {many or one + 's'}"


def few(names: Iterable[str], most: int) -> str:
    """The first names, each once, such as "a, b and 3 more"."""
    known = list(dict.fromkeys(names))
    return ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")
