"""The server over real sockets: protocol, refusals, sessions, limits, shutdown."""

import asyncio
import gzip
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from data.errors import SettingsError
from data.simulator.server.serving import Limits, RunningServer, create_app, serve
from data.simulator.world.environment import World

EASY = {"difficulty": "easy", "seed": 7}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


def step(client: httpx.Client, **action: Any) -> httpx.Response:
    return client.post("/step", json={"action": action})


async def ask(connection: ClientConnection, kind: str, data: object = None) -> dict[str, Any]:
    await connection.send(json.dumps({"type": kind, "data": data}))
    return json.loads(await connection.recv())


def session(server: RunningServer) -> connect:
    return connect(server.url.replace("http", "ws") + "/ws", proxy=None)


def test_an_episode_over_http(http: httpx.Client) -> None:
    begun = http.post("/reset", json=EASY).json()
    assert begun["observation"]["sim_tick"] == 1 and begun["reward"] is None and begun["done"] is False
    assert http.get("/state").json()["step_count"] == 0
    name = next(iter(begun["observation"]["services"]))
    looked = step(http, action_type="fetch_logs", target_service=name).json()
    assert looked["observation"]["sim_tick"] == 2 and looked["info"]["action_valid"] is True
    state = http.get("/state").json()
    assert state["step_count"] == 1 and state["episode_id"]
    ended = step(http, action_type="declare_resolved").json()
    assert ended["done"] is True and 0 <= ended["observation"]["episode_score"] <= 1


def test_pages_about_the_server(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "healthy"}
    assert http.get("/metadata").json()["name"] == "firewatch-env"
    assert {"action", "observation", "state"} <= http.get("/schema").json().keys()
    assert http.get("/nowhere").status_code == 404 and "detail" in http.get("/nowhere").json()
    assert http.get("/step").status_code == 405


def test_refusals_have_the_recorded_shapes(http: httpx.Client, shared: Path) -> None:
    """Each malformed or untimely recorded call gets the same status, keys and message."""
    with gzip.open(shared / "firewatch/traffic/errors.jsonl.gz", "rt") as lines:
        exchanges = [json.loads(line) for line in lines][1:]
    compared = 0
    for recorded in exchanges:
        answer = http.request(recorded["method"], recorded["path"], json=recorded["request"])
        expected = recorded["response"]
        assert answer.status_code == recorded["status"], recorded["request"]
        assert answer.json().keys() == expected.keys(), recorded["request"]
        if answer.status_code == 422:
            keys = ("type", "loc", "input")
            assert [{k: e[k] for k in keys} for e in answer.json()["detail"]] == [
                {k: e[k] for k in keys} for e in expected["detail"]
            ]
            compared += 1
        if "metadata" in expected:
            for field in expected.keys() - {"info"}:
                assert answer.json()[field] == expected[field], field
            compared += 1
    assert compared == 5


def test_an_action_with_an_extra_key_is_refused(http: httpx.Client) -> None:
    http.post("/reset", json=EASY)
    answer = step(http, action_type="escalate", colour="red")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["colour"]
    assert http.get("/state").json()["step_count"] == 0


def test_after_the_end_nothing_is_observed_and_the_info_is_stale(http: httpx.Client) -> None:
    http.post("/reset", json=EASY)
    ended = step(http, action_type="declare_resolved").json()
    after = step(http, action_type="fetch_logs", target_service="x").json()
    assert after["observation"]["services"] == {} and after["done"] is False
    assert after["info"]["episode_score"] == ended["info"]["episode_score"]


def test_a_body_that_is_not_json_is_answered_flat(http: httpx.Client) -> None:
    for body in (b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000):
        answer = http.post("/reset", content=body)
        assert answer.status_code == 200 and "observation" not in answer.json()
        assert answer.json()["metadata"]["error"].startswith("Invalid request")


def test_limits_on_bodies() -> None:
    limits = Limits(body_bytes=1000, receive_s=0.2)
    with RunningServer(limits=limits) as server:
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            assert client.post("/reset", content=b"x" * 1001).status_code == 413
            assert client.post("/reset", content=iter([b"x" * 600] * 2)).status_code == 413
            assert client.post("/reset", json=EASY).status_code == 200
        with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port)) as slow:
            slow.sendall(b"POST /reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
            assert b"408" in slow.recv(100)

        async def large_frame() -> int | None:
            async with session(server) as connection:
                await connection.send("x" * 1001)
                with pytest.raises(ConnectionClosed) as closed:
                    await connection.recv()
                return closed.value.rcvd.code if closed.value.rcvd else None

        assert asyncio.run(large_frame()) == 1009


def test_websocket_protocol(server: RunningServer) -> None:
    async def play() -> None:
        async with session(server) as connection:
            begun = await ask(connection, "reset", EASY)
            assert begun["type"] == "observation"
            assert begun["data"].keys() == {"observation", "reward", "done"}
            looked = await ask(connection, "step", {"action_type": "escalate"})
            assert looked["data"].keys() == {"observation", "reward", "done"}
            state = await ask(connection, "state")
            assert state["type"] == "state" and state["data"]["step_count"] == 1
            for kind, data, code in (
                ("step", {"action_type": "no_such_action"}, "VALIDATION_ERROR"),
                ("step", None, "VALIDATION_ERROR"),
                ("reset", {"seed": "abc"}, "VALIDATION_ERROR"),
                ("dance", {}, "UNKNOWN_TYPE"),
            ):
                refused = await ask(connection, kind, data)
                assert refused["type"] == "error" and refused["data"]["code"] == code
            await connection.send("{")
            assert json.loads(await connection.recv())["data"]["code"] == "INVALID_JSON"
            await connection.send(b"[]")
            assert json.loads(await connection.recv())["data"]["code"] == "UNKNOWN_TYPE"
            assert (await ask(connection, "state"))["data"]["step_count"] == 1
            await connection.send('{"type": "close"}')
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000

    asyncio.run(play())


def test_both_transports_send_the_same_bytes(server: RunningServer, http: httpx.Client) -> None:
    async def over_websocket() -> list[str]:
        async with session(server) as connection:
            frames = []
            for kind, data in (("reset", EASY), ("step", {"action_type": "declare_resolved"})):
                await connection.send(json.dumps({"type": kind, "data": data}))
                frames.append(str(await connection.recv()))
            return frames

    frames = asyncio.run(over_websocket())
    bodies = [http.post("/reset", json=EASY).text, step(http, action_type="declare_resolved").text]
    for frame, body in zip(frames, bodies, strict=True):
        start = frame.index('"observation":{')
        end = frame.rindex(',"reward"')
        assert frame[start:end] in body


def test_256_sessions_at_once_are_isolated(server: RunningServer) -> None:
    async def one(seed: int) -> list[Any]:
        async with session(server) as connection:
            seen = [await ask(connection, "reset", {"difficulty": "easy", "seed": seed})]
            await everybody.wait()
            seen += [await ask(connection, "step", {"action_type": "escalate"}) for _ in range(seed % 4)]
            seen.append((await ask(connection, "state"))["data"]["step_count"])
            await finished.wait()
        return seen

    async def all_of_them() -> list[list[Any]]:
        return await asyncio.gather(*(one(seed // 2) for seed in range(256)))

    async def alone(seed: int) -> list[Any]:
        return await one(seed)

    async def run_all() -> None:
        nonlocal everybody, finished
        everybody, finished = asyncio.Barrier(256), asyncio.Barrier(256)
        together = await all_of_them()
        # Each pair of sessions played the same seed at once, and neither saw the other's steps.
        assert together[0::2] == together[1::2]
        assert [seen[-1] for seen in together[0::2]] == [seed % 4 for seed in range(128)]
        everybody, finished = asyncio.Barrier(1), asyncio.Barrier(1)
        assert await alone(11) == together[22]

    everybody = finished = asyncio.Barrier(1)
    asyncio.run(run_all())


def test_capacity_and_idleness() -> None:
    with RunningServer(limits=Limits(sessions=1, idle_s=0.3)) as server:

        async def play() -> None:
            async with session(server) as first:
                assert (await ask(first, "reset", EASY))["type"] == "observation"
                async with session(server) as second:
                    refused = json.loads(await second.recv())
                    assert refused["type"] == "error" and refused["data"]["code"] == "CAPACITY_REACHED"
                    with pytest.raises(ConnectionClosed) as closed:
                        await second.recv()
                    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
                idle = json.loads(await first.recv())
                assert idle["data"]["code"] == "SESSION_ERROR" and "0.3 s" in idle["data"]["message"]
            async with session(server) as third:
                assert (await ask(third, "reset", EASY))["type"] == "observation"

        asyncio.run(play())


class CountingWorld(World):
    """The embedded world; counts the steps of all instances."""

    steps = 0

    def step(self, action: Any) -> dict[str, Any]:
        CountingWorld.steps += 1
        return super().step(action)


def test_shutdown_loses_no_reply() -> None:
    """Clients step as fast as they can while the server stops: every step taken is answered."""
    CountingWorld.steps = 0
    replies = 0
    server = RunningServer(create_app(Limits(), CountingWorld))

    async def client() -> None:
        nonlocal replies
        async with session(server) as connection:
            await ask(connection, "reset", {"difficulty": "hard", "seed": 1})
            try:
                while True:
                    await ask(connection, "step", {"action_type": "escalate"})
                    replies += 1
            except ConnectionClosed:
                return

    async def clients() -> None:
        await asyncio.gather(*(client() for _ in range(20)), asyncio.to_thread(stop))

    def stop() -> None:
        while replies < 60:
            time.sleep(0.01)
        server.__exit__(None, None, None)

    server.__enter__()
    asyncio.run(clients())
    assert replies == CountingWorld.steps


def test_a_taken_port_is_a_clear_refusal(server: RunningServer) -> None:
    port = httpx.URL(server.url).port
    assert port is not None
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"):
        serve(port=port)


def test_another_process_sends_the_same_bytes_and_stops_on_sigterm(http: httpx.Client) -> None:
    def bytes_of_an_episode(client: httpx.Client) -> list[str]:
        answers = [client.post("/reset", json={"difficulty": "hard", "seed": 3}).text]
        name = next(iter(json.loads(answers[0])["observation"]["services"]))
        for kind in ("fetch_logs", "trace_dependencies", "restart_service", "declare_resolved"):
            answers.append(step(client, action_type=kind, target_service=name).text)
        return answers

    program = (
        "from data.simulator.server.serving import serve\n"
        "serve(port=0, on_ready=lambda url: print(url, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={"PYTHONHASHSEED": "99"}
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            assert bytes_of_an_episode(client) == bytes_of_an_episode(http)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_keys = st.sampled_from(
    ["action", "action_type", "target_service", "parameters", "metadata", "seed", "difficulty", "task_id"]
)
_actions = st.dictionaries(_keys, st.sampled_from(["escalate", "fetch_logs", "easy", "\ud800"]) | _values)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_values | _actions | st.builds(lambda action: {"action": action}, _actions))
def test_whatever_is_sent_the_server_answers(http: httpx.Client, body: object) -> None:
    for path in ("/reset", "/step"):
        answer = http.post(path, content=json.dumps(body))
        assert answer.status_code in (200, 422)
        answer.json()
