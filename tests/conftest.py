"""Fixtures that every test module may use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The recorded traffic and real incidents, which only the maintainers' tree has."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared, which only the maintainers' tree has")
    return folder
