"""Packages that not every installation has: what lacks one says the line that installs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from data.errors import SettingsError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Imports in this block come from an extra.

    Raises:
        SettingsError: a package is missing; names the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{error.name} is not installed: pip install 'firewatch-rca[{extra}]' brings it"
        ) from None
