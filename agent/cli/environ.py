"""Reads the process environment and `.env`."""

import os
import warnings
from typing import TYPE_CHECKING

from dotenv import dotenv_values, find_dotenv

from data.errors import SettingsError

if TYPE_CHECKING:
    from agent.settings import Settings


def settings_from_environment() -> "Settings":
    """The settings from environment variables.

    Raises:
        SettingsError: names a file or variable that cannot be used.
    """
    from agent.settings import read_settings

    return read_settings(variables_from_environment())


def variables_from_environment() -> dict[str, str]:
    """Environment variables, and those of `.env` in the working directory or a parent; the former win.

    Raises:
        SettingsError: the file cannot be used.
    """
    file = find_dotenv(usecwd=True)
    try:
        from_file = dotenv_values(file)
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: not UTF-8 – write it as UTF-8") from None
    return {**{name: value for name, value in from_file.items() if value is not None}, **os.environ}


def stay_offline() -> None:
    """Keeps libraries from contacting hubs or sending statistics, and from printing bars and warnings."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for library in ("peft", "transformers", "trl"):
        warnings.filterwarnings("ignore", module=rf"{library}\.")
