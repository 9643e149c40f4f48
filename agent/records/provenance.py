"""What made a result: versions, git revision and the hash of a checkpoint."""

import hashlib
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

_PACKAGES = (
    "firewatch-rca",
    "httpx",
    "numpy",
    "onnxruntime",
    "openai",
    "pydantic",
    "torch",
    "torch-geometric",
)


def versions() -> dict[str, str]:
    """Python's version and those of the packages that a result depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def git_revision() -> str | None:
    """The commit of this source tree, with "+changes" when it is not clean; None outside of git."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return None
    revision = _git(here, "rev-parse", "HEAD")
    return f"{revision}+changes" if revision and _git(here, "status", "--porcelain") else revision


def folder_hash(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _hash((str(file.relative_to(folder)), file) for file in files)


def files_hash(files: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, wherever they lie."""
    return _hash((file.name, file) for file in files)


def _hash(named: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, file in named:
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git on this machine
        return None
    return done.stdout.strip() if done.returncode == 0 else None
