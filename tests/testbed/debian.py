"""Programs of Debian packages, unpacked into the cache without installing them."""

import shutil
import subprocess
from pathlib import Path

CACHE = Path.home() / ".cache" / "firewatch-tests"


class NotToBeHad(Exception):
    """The program is not installed and cannot be fetched."""


def program(name: str, package: str) -> Path:
    """The program `name`: installed, from the cache, or fetched now with apt.

    Raises:
        NotToBeHad: with the reason.
    """
    installed = shutil.which(name)
    if installed:
        return Path(installed)
    unpacked = CACHE / package / "usr" / "bin" / name
    if not unpacked.is_file():
        _fetch(package)
    if not unpacked.is_file():
        raise NotToBeHad(f"Debian's package {package} has no {name}")
    return unpacked


def _fetch(package: str) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise NotToBeHad(f"{package} is not installed, and there is no apt-get and dpkg to fetch it with")
    folder = CACHE / package
    folder.mkdir(parents=True, exist_ok=True)
    got = subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, text=True)
    files = sorted(folder.glob("*.deb"))
    if not files:
        reason = (got.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NotToBeHad(f"{package} is not installed and cannot be fetched: {reason}")
    subprocess.run(["dpkg", "-x", files[-1], folder], check=True, capture_output=True)
