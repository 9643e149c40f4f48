"""The server against clients that are silent, incomplete, not reading, many, verbose, or web pages."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_sync

from data.simulator.server.serving import Limits, RunningServer

MIB = 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


def raw(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=10)


HALF = {
    "silent": b"",
    "half a head": b"POST /reset HTTP/1.1\r\nHost: localhost\r\n",
    "half a second head": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea",
    "half a handshake": b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
    "half a body": b"POST /reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
    "kept alive": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


def test_connections_that_say_nothing_more_are_closed() -> None:
    with RunningServer(limits=Limits(idle_s=1.0, head_s=0.4, receive_s=0.4)) as server:
        open_ones = {kind: raw(server.url) for kind in HALF}
        for kind, connection in open_ones.items():
            connection.sendall(HALF[kind])
        for kind, connection in open_ones.items():
            connection.settimeout(4.0)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(4096):
                    pass
            connection.close()
            assert kind in HALF
        assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200


def test_more_connections_than_allowed_are_closed_and_the_others_served() -> None:
    with RunningServer(limits=Limits(connections=20)) as server:
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(httpx.Client(base_url=server.url, trust_env=False))
            assert client.get("/health").status_code == 200
            crowd = [stack.enter_context(raw(server.url)) for _ in range(50)]
            for late in crowd[25:]:
                with contextlib.suppress(ConnectionResetError):
                    assert late.recv(1) == b""
            assert client.get("/health").status_code == 200
        assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200


SERVE = (
    "import resource, sys\n"
    "from data.simulator.server.serving import serve\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))\n"
    "serve(port=0, on_ready=lambda url: print(url, flush=True))"
)


@contextlib.contextmanager
def served() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The server in its own process, limited to 128 open files."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.communicate()


def test_at_the_limit_of_open_files_it_answers_and_its_log_stays_short() -> None:
    with served() as (process, url):
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=10))
            assert client.get("/health").status_code == 200
            for _ in range(300):
                stack.enter_context(raw(url))
            for _ in range(300):
                with raw(url) as nonsense:
                    nonsense.sendall(b"\x00\xff nonsense\r\n\r\n")
            assert client.get("/health").status_code == 200
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=10)
        assert len(said) < 2000, said[-2000:]
        assert b"Traceback" not in said


def test_a_deaf_client_does_not_delay_the_end() -> None:
    with served() as (process, url):
        deaf = connect_sync(f"{url.replace('http', 'ws')}/ws", proxy=None, compression=None)
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reset = b'{"type": "reset", "data": {"difficulty": "hard"}}'
        frame = bytes([0x81, 0x80 | len(reset)]) + bytes(4) + reset  # masked with zeros
        deaf.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            for _ in range(20_000):
                deaf.socket.sendall(frame)
        lagging = raw(url)
        lagging.sendall(b"GET /schema HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) in (0, -signal.SIGTERM)
        assert time.monotonic() - began < 4.0  # two seconds on a machine that has nothing else to do
        deaf.socket.close()
        lagging.close()


def test_what_is_sent_does_not_come_back_by_the_megabyte(server: RunningServer) -> None:
    huge = "x" * (MIB - 2000)
    bodies = [
        {"action": {"action_type": "restart_service", "target_service": huge}},
        {"action": {"action_type": huge}},
        {"action": {"action_type": "escalate", huge: 1}},
        {"action": {"action_type": "escalate", **{f"key{n}": n for n in range(30_000)}}},
        {"action": huge},
        {"difficulty": huge},
        {"task_id": huge},
        {"seed": huge},
        [huge],
    ]
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        client.post("/reset", json={"difficulty": "easy", "seed": 1})
        for body in bodies:
            for path in ("/step", "/reset"):
                answer = client.post(path, json=body)
                assert answer.status_code in (200, 422) and len(answer.content) < 20_000, (path, answer)

    async def frames() -> None:
        async with connect(f"{server.url.replace('http', 'ws')}/ws", proxy=None) as connection:
            for frame in (
                {"type": huge},
                {"type": "step", "data": {"action_type": huge}},
                {"type": "reset", "data": {"task_id": huge}},
            ):
                await connection.send(json.dumps(frame))
                assert len(await connection.recv()) < 20_000

    asyncio.run(frames())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "SELF"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Content-Type": "text/plain"}, 403),
        ({"Content-Type": "text/plain;charset=UTF-8", "Origin": "http://evil.example"}, 403),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Host": "["}, 403),
    ],
)
def test_a_web_page_cannot_touch_an_episode(
    headers: dict[str, str], status: int, server: RunningServer
) -> None:
    sent = {name: server.url if value == "SELF" else value for name, value in headers.items()}
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        client.post("/reset", json={"difficulty": "easy", "seed": 1})
        before = client.get("/state").json()
        answer = client.post("/reset", content='{"difficulty": "easy", "seed": 2}', headers=sent)
        assert answer.status_code == status
        assert (client.get("/state").json() == before) == (status != 200)


def test_a_web_page_opens_no_session(server: RunningServer) -> None:
    async def play() -> None:
        url = f"{server.url.replace('http', 'ws')}/ws"
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(url, proxy=None, origin="http://evil.example"):  # type: ignore[arg-type]
                pass
        async with connect(url, proxy=None):
            pass

    asyncio.run(play())
