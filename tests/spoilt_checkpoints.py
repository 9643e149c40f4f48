"""Checkpoints that somebody changed, including the card."""

import hashlib
import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

from gnn.checkpoint import CARD, EXPORT, CheckpointError
from gnn.graph_ranker import load_ranker


def edit_card(folder: Path, **fields: Any) -> None:
    """Changes fields of the card."""
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    (folder / CARD).write_text(json.dumps({**card, **fields}), encoding="utf-8")


def hash_again(folder: Path) -> None:
    """Updates the card's hashes to match the files."""
    files = (path for path in folder.iterdir() if path.name != CARD and path.is_file())
    edit_card(folder, files={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files})


def fuzz(folder: Path, times: int) -> int:
    """Damages copies of a checkpoint at random; half of them with a card that vouches for the damage.

    Whatever is not read is refused by `CheckpointError`, and the process stays below one gigabyte.

    Returns how many were refused.
    """
    chance = random.Random(1)
    copy, count = folder.with_name("spoilt"), 0
    for _ in range(times):
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        path = copy / chance.choice([CARD, EXPORT])
        path.write_bytes(damaged(path.read_bytes(), chance))
        if path.name == EXPORT and chance.random() < 0.7:
            hash_again(copy)
        try:
            load_ranker(copy)
        except CheckpointError as refused:
            assert "\n" not in str(refused)
            count += 1
    # Not `getrusage`: that counts the process which started this one, too.
    (peak_kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert int(peak_kib) < 2**20, "over one gigabyte"
    return count


def damaged(content: bytes, chance: random.Random) -> bytes:
    """`content` with bits flipped, or bytes lost, repeated or inserted."""
    raw = bytearray(content)
    for _ in range(chance.choice([1, 1, 3, 30])):
        at = chance.randrange(len(raw) or 1)
        kind = chance.randrange(4)
        if not raw:
            break
        if kind == 0:
            raw[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del raw[at : at + chance.randrange(1, 50)]
        elif kind == 2:
            raw[at:at] = chance.choice(
                [b"9" * 400, b"[" * 300, b"\x00" * 9, b"-", b"1e999", b'"', b"\xff\xff"]
            )
        else:
            raw[at : at + 40] = raw[chance.randrange(len(raw)) :][:40]
    return bytes(raw)
