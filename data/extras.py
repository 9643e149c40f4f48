"""Optional packages: if one is missing, the error says how to install it."""

from collections.abc import Iterator
from contextlib import contextmanager

from data.errors import SettingsError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Wraps imports of packages from an extra.

    Raises:
        SettingsError: a package is missing; says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{error.name} is not installed: pip install 'firewatch-rca[{extra}]' brings it"
        ) from None
