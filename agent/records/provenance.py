"""Where a result comes from: versions, git revision and the hash of the checkpoint."""

import hashlib
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agent.play.config import PlayOptions
from data.clients.discovery import Endpoint
from data.errors import SettingsError
from data.files.json_file import read_object
from gnn.registry import weights_folder

_PACKAGES = (
    "firewatch-rca", "httpx", "numpy", "onnxruntime", "openai", "peft", "pydantic", "torch",
    "torch-geometric", "transformers", "trl",
)  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that affect results."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def run_facts(config: PlayOptions, endpoint: Endpoint) -> dict[str, Any]:
    """The contents of run.json besides the configuration."""
    weights = weights_folder(config.ranker, config.checkpoint)
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": str(endpoint),
        "transport": endpoint.transport,
        "seed": config.seed,
        "model": ",".join(config.models) or None,
        "ranker": config.ranker,
        "policy": config.policy,
        "checkpoint": str(weights) if weights else None,
        "checkpoint_sha256": folder_hash(weights) if weights else None,
        "versions": versions(),
        "git": git_revision(),
    }


def refuse_other_weights(run: Path, config: PlayOptions) -> None:
    """Checks that a resumed run uses the same weights as before.

    Raises:
        SettingsError: the weights have changed.
    """
    begun = read_object(run / "run.json").get("checkpoint_sha256")
    weights = weights_folder(config.ranker, config.checkpoint)
    if begun is not None and weights is not None and folder_hash(weights) != begun:
        raise SettingsError(
            f"{run}: the run was started with other weights than {weights} holds now – "
            "put them back, or start a new run with --out"
        )


def git_revision() -> str | None:
    """The commit of this source tree, with "+changes" if it is not clean; None outside of git."""
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
    """SHA-256 over the names and contents of files in any folders."""
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
