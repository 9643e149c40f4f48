"""The process environment and `.env`, read once, here."""

import os

from dotenv import dotenv_values, find_dotenv

from agent.settings import Settings, read_settings


def settings_from_environment() -> Settings:
    """Settings from `.env` in the working directory or a parent, and from real variables, which win."""
    from_file = dotenv_values(find_dotenv(usecwd=True))
    merged = {name: value for name, value in from_file.items() if value is not None}
    return read_settings({**merged, **os.environ})
