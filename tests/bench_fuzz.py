"""Thousands of damaged answers and checkpoints: each is read or refused in one line; prints JSON.

python tests/bench_fuzz.py --answers 1000 --checkpoints 1000
"""

import argparse
import asyncio
import json
import random
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from conftest import _raw_server as raw_server
from spoilt_checkpoints import damaged, fuzz

from data.clients.http_client import HttpEnvironment
from data.errors import FirewatchError
from data.observation import Task
from data.simulator.world.environment import World
from gnn.registry import shipped

TASK = Task(difficulty="easy", seed=7, max_ticks=20)
HEADS = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n",
    b"HTTP/1.1 422 No\r\n",
    b"HTTP/1.1 302 Elsewhere\r\nLocation: http://127.0.0.1:9/\r\n",
    b"HTTP/1.0 500\r\n",
)


async def answers(times: int) -> int:
    """Plays against a server whose every answer is damaged at random; returns how many were refused."""
    chance, refused = random.Random(2), 0
    good = json.dumps(World().reset("easy", 7)).encode()
    state = b'{"episode_id": "a", "step_count": 0}'

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(
                (
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                ),
                0,
            )
            await reader.readexactly(size)
            body = state if b"/state" in head else damaged(good, chance)
            first = HEADS[0] if b"/state" in head or chance.random() < 0.8 else chance.choice(HEADS)
            length = len(body) if chance.random() < 0.95 else chance.randrange(10**9)
            writer.write(first + b"Content-Length: %d\r\n\r\n" % length + body)
            if length != len(body):
                return

    async with raw_server(converse) as port:
        for _ in range(times):
            environment = HttpEnvironment(f"http://127.0.0.1:{port}", timeout_s=2.0, settle_s=0.0)
            try:
                await environment.reset(TASK)
            except FirewatchError as error:
                assert "\n" not in str(error)
                refused += 1
            finally:
                await environment.aclose()
    return refused


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--checkpoints", type=int, default=1000)
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    began = time.monotonic()
    found["answers"] = {"tried": asked.answers, "refused": asyncio.run(answers(asked.answers))}
    found["answers"]["seconds"] = round(time.monotonic() - began, 1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(shipped("mlp"), Path(scratch) / "checkpoint"))
        began = time.monotonic()
        found["checkpoints"] = {"tried": asked.checkpoints, "refused": fuzz(folder, asked.checkpoints)}
        found["checkpoints"]["seconds"] = round(time.monotonic() - began, 1)
    found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
