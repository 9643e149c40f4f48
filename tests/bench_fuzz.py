"""Thousands of damaged answers, files and checkpoints: each is read or refused in one line; prints JSON.

python tests/bench_fuzz.py --times 1000
"""

import argparse
import asyncio
import json
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_machine import machine
from conftest import _raw_server as raw_server
from llm_server import Answer, LLMServer
from spoilt_checkpoints import damaged, fuzz
from telemetry_server import telemetry_server
from test_agent_llm_client import completion
from test_data_live_faults import gathered, healthy
from test_data_sources import SHORT, TEXTS
from websockets.asyncio.server import ServerConnection, serve

from agent.llm.budget import Budget, Ledger
from agent.llm.client import ChatModel, LlmSettings
from agent.records.provenance import git_revision
from data.clients.http_client import HttpEnvironment
from data.clients.websocket_client import WebSocketEnvironment
from data.environment import Environment
from data.errors import FirewatchError
from data.observation import Task
from data.simulator.world.environment import World
from data.sources.files.reading import read_evidence
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
            refused += await _is_refused(environment)
    return refused


async def frames(times: int) -> int:
    """The same over a WebSocket, as text and as bytes."""
    chance, refused = random.Random(3), 0
    good = json.dumps({"type": "observation", "data": World().reset("easy", 7)}).encode()

    async def converse(connection: ServerConnection) -> None:
        async for _ in connection:
            frame = damaged(good, chance)
            await connection.send(frame if chance.random() < 0.3 else frame.decode(errors="replace"))

    async with serve(converse, "127.0.0.1", 0) as listening:
        url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        for _ in range(times):
            refused += await _is_refused(WebSocketEnvironment(url, timeout_s=2.0))
    return refused


async def _is_refused(environment: Environment) -> bool:
    """Whether an episode's start is refused, in one line."""
    try:
        await environment.reset(TASK)
    except FirewatchError as error:
        assert "\n" not in str(error)
        return True
    finally:
        await environment.aclose()
    return False


async def replies(times: int) -> int:
    """Asks a model whose every answer is damaged at random."""
    chance, refused = random.Random(4), 0
    good = completion(usage={"prompt_tokens": 100, "completion_tokens": 20}).encode()
    with LLMServer(lambda _: Answer(body=damaged(good, chance))) as server:
        model = ChatModel(LlmSettings(server.url, "none", ("m",), max_retries=0))
        for _ in range(times):
            try:
                await model.ask([{"role": "user", "content": "?"}], 0, Ledger(Budget()))
            except FirewatchError as error:
                assert "\n" not in str(error)
                refused += 1
        await model.aclose()
    return refused


def telemetry(times: int) -> int:
    """Reads damaged files of every kind of telemetry."""
    chance, refused = random.Random(5), 0
    whole_and_torn = [*SHORT, *(text for text in TEXTS if len(text) < 100_000)]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "damaged"
        for _ in range(times):
            path.write_bytes(damaged(chance.choice(whole_and_torn).encode(), chance))
            try:
                read_evidence([path])
            except FirewatchError as error:
                assert "\n" not in str(error)
                refused += 1
    return refused


def live(times: int) -> int:
    """Queries a Prometheus that damages one answer in three."""
    chance, refused = random.Random(6), 0

    def answer(*asked: Any) -> bytes:
        whole = json.dumps(healthy(*asked)).encode()
        return damaged(whole, chance) if chance.random() < 0.3 else whole

    with telemetry_server(answer) as url:
        for _ in range(times):
            try:
                gathered(url)
            except FirewatchError as error:
                assert "\n" not in str(error)
                refused += 1
    return refused


def checkpoints(times: int) -> int:
    """Opens damaged checkpoints; in half of them the hashes match the damage."""
    with tempfile.TemporaryDirectory() as scratch:
        return fuzz(Path(shutil.copytree(shipped("mlp"), Path(scratch) / "checkpoint")), times)


KINDS: dict[str, Callable[[int], int]] = {
    "environment, HTTP": lambda times: asyncio.run(answers(times)),
    "environment, WebSocket": lambda times: asyncio.run(frames(times)),
    "model": lambda times: asyncio.run(replies(times)),
    "telemetry, files": telemetry,
    "telemetry, Prometheus": live,
    "checkpoint": checkpoints,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=1000)
    times = parser.parse_args().times
    results = []
    for kind, tried in KINDS.items():
        began = time.monotonic()
        row = {"reader": kind, "tried": times, "refused": tried(times)}
        results.append({**row, "seconds": round(time.monotonic() - began, 1)})
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    record = {
        "what": "damaged answers, files and checkpoints: each is read, or refused in one line",
        "command": f"python tests/bench_fuzz.py --times {times}",
        "machine": machine(),
        "git": git_revision(),
        "peak_mib": peak_mib,
        "results": results,
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
