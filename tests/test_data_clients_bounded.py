"""Servers whose answers are too large, or redirects: limited and refused in one line."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bench_fuzz import frames
from memory import MIB, at_most

from data.clients.discovery import is_healthy
from data.clients.http_client import HttpEnvironment
from data.clients.websocket_client import WebSocketEnvironment
from data.errors import EnvironmentFault, ProtocolError, TaskRefused, Unreachable
from data.observation import Action, Task
from data.simulator.server.serving import RunningServer

TASK = Task(difficulty="easy", seed=7, max_ticks=20)
PACK = zlib.compressobj(level=1, wbits=31)
BOMB = b"".join(PACK.compress(b"[" * MIB) for _ in range(400)) + PACK.flush()


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode()


def length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


def endless(start: bytes, part: bytes) -> Iterator[bytes]:
    yield start
    while True:
        yield part


CHUNK = b"%x\r\n%s\r\n" % (MIB, b" " * MIB)
ANSWERS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "gzip": (
        lambda: iter([head("Content-Encoding: gzip", length(BOMB)), BOMB]),
        "too large: over 32 MiB",
    ),
    "gzip of gzip": (
        lambda: iter([head("Content-Encoding: gzip, gzip", length(BOMB)), BOMB]),
        "packed as 'gzip, gzip'",
    ),
    "damaged gzip": (
        lambda: iter([head("Content-Encoding: gzip", length(b"\x1f\x8bx")), b"\x1f\x8bx"]),
        "gzip",
    ),
    "chunks without end": (
        lambda: endless(head("Transfer-Encoding: chunked"), CHUNK),
        "too large: over 32 MiB",
    ),
    "a body without end": (
        lambda: endless(head("Content-Type: application/json"), b" " * MIB),
        "too large: over 32 MiB",
    ),
    "headers without end": (lambda: endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 10_000), ""),
    "one deep field": (
        lambda: iter(
            [
                head(length(b"x" * 700)),
                b'{"observation":{"services":{"a":{"deep":' + b"[" * 329 + b"]" * 327 + b"}}}}",
            ]
        ),
        "nested too deeply",
    ),
    "small parts": (
        lambda: iter([head(length(b"x" * 15 * MIB)), b"[" + b"{}," * (5 * MIB)]),
        "it would take over 128 MiB",
    ),
    "too many services": (
        lambda: iter(
            [
                head("Connection: close"),
                b'{"observation":{"services":{"a":{}',
                b"".join(b',"%d":{}' % n for n in range(100_000)),
                b"}}}",
            ]
        ),
        "100001 services",
    ),
    "elsewhere": (
        lambda: iter([head("Location: http://127.0.0.1:9/", "Content-Length: 0", status="307 Elsewhere")]),
        "status 307",
    ),
}


@asynccontextmanager
async def server(raw_server: Any, answer: Callable[[], Iterator[bytes]]) -> AsyncIterator[str]:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in answer():
            writer.write(part)
            await writer.drain()

    async with raw_server(converse) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("kind", ANSWERS)
def test_no_answer_over_http_takes_more_than_its_share(kind: str, raw_server: Any) -> None:
    answer, said = ANSWERS[kind]

    async def play() -> None:
        async with server(raw_server, answer) as url:
            environment = HttpEnvironment(url, timeout_s=10.0)
            with pytest.raises((ProtocolError, Unreachable)) as refused:
                await environment.reset(TASK)
            await environment.aclose()
            assert said in str(refused.value) and "\n" not in str(refused.value)
            assert await is_healthy(url, 10.0) in (True, False)

    with at_most(350):
        asyncio.run(play())


def test_a_packed_answer_is_read(raw_server: Any) -> None:
    body = gzip.compress(json.dumps({"detail": "no such task"}).encode())

    async def play() -> None:
        answer = head("Content-Encoding: gzip", length(body), status="422 No")
        async with server(raw_server, lambda: iter([answer, body])) as url:
            environment = HttpEnvironment(url)
            with pytest.raises(TaskRefused, match="no such task"):
                await environment.reset(TASK)
            await environment.aclose()

    asyncio.run(play())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where", ["ws://{host}/ws", "http://{host}/ws", "::", "ftp://x", "//{host}", "ws://a b"]
)
def test_no_handshake_is_led_elsewhere(status: int, where: str, raw_server: Any) -> None:
    async def play() -> None:
        with RunningServer() as other:
            target = where.format(host=other.url.removeprefix("http://"))
            answer = head(f"Location: {target}", "Content-Length: 0", status=f"{status} Elsewhere")
            async with server(raw_server, lambda: iter([answer])) as url:
                environment = WebSocketEnvironment(url)
                with pytest.raises(EnvironmentFault, match=f"HTTP {status}"):
                    await environment.reset(TASK)
                await environment.aclose()

    asyncio.run(play())


@pytest.mark.parametrize("fragments", [1, 1000])
def test_no_frame_takes_more_than_its_share(fragments: int) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def flood(connection: ServerConnection) -> None:
        await connection.recv()
        part = " " * (100 * MIB // fragments)
        await connection.send([part] * fragments if fragments > 1 else part)

    async def play() -> None:
        async with serve(flood, "127.0.0.1", 0, compression=None) as listening:
            port = listening.sockets[0].getsockname()[1]
            environment = WebSocketEnvironment(f"ws://127.0.0.1:{port}", timeout_s=10.0)
            with pytest.raises(EnvironmentFault, match="too big"):
                await environment.reset(TASK)
            with pytest.raises(EnvironmentFault):
                await environment.step(Action(action_type="escalate"))
            await environment.aclose()

    with at_most(450):
        asyncio.run(play())


def test_damaged_frames_are_read_or_refused() -> None:
    """As many as time allows; `python tests/bench_fuzz.py` tries a thousand of each kind."""
    assert 0 < asyncio.run(frames(100)) < 100
