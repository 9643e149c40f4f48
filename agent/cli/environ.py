"""The process environment and `.env`, read once, here."""

import os

from dotenv import dotenv_values, find_dotenv

from agent.settings import Settings, read_settings
from data.errors import SettingsError


def settings_from_environment() -> Settings:
    """Settings from `.env` in the working directory or a parent, and from real variables, which win.

    Raises:
        SettingsError: a file or variable that cannot be used, by name.
    """
    file = find_dotenv(usecwd=True)
    try:
        from_file = dotenv_values(file)
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: not UTF-8 – write it as UTF-8") from None
    merged = {name: value for name, value in from_file.items() if value is not None}
    return read_settings({**merged, **os.environ})
