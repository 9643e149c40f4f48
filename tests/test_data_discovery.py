"""Where and how to play: the choice, the probes, and which transport keeps an episode."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from data.clients import discovery
from data.clients.discovery import Endpoint, is_healthy, locate
from data.clients.http_client import HttpEnvironment
from data.clients.websocket_client import WebSocketEnvironment
from data.errors import ProtocolError, SettingsError, Unreachable
from data.observation import Action, Task
from data.simulator.server.serving import RunningServer
from data.simulator.world.environment import EmbeddedEnvironment

TASK = Task(difficulty="easy", seed=7, max_ticks=20)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


def state(server: RunningServer) -> Any:
    return httpx.get(f"{server.url}/state", trust_env=False).json()


def state_app(*, episode_ids: Iterator[str | None], health: int = 200) -> tuple[Starlette, list[str]]:
    """A server whose `/state` never counts a step, and the list of requested paths."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        if request.url.path == "/state":
            return JSONResponse({"episode_id": next(episode_ids), "step_count": 0})
        return JSONResponse({}, status_code=health)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])]), asked


def test_the_choice_wins(server: RunningServer) -> None:
    async def play() -> None:
        for url, transport, kind in (
            (server.url, "http", HttpEnvironment),
            (server.url, "ws", WebSocketEnvironment),
            (server.url.replace("http", "ws"), "auto", WebSocketEnvironment),
            ("embedded", "auto", EmbeddedEnvironment),
        ):
            environment = (await locate(url, transport, space_url=None)).open()
            assert isinstance(environment, kind)
            assert (await environment.reset(TASK)).observation.sim_tick == 1
            assert (await environment.step(Action(action_type="escalate"))).observation.sim_tick == 2
            await environment.aclose()

    asyncio.run(play())


def test_which_endpoints_have_sessions() -> None:
    assert Endpoint("embedded").has_sessions and Endpoint("ws", "ws://x").has_sessions
    assert not Endpoint("http", "http://x").has_sessions


def test_nonsense_is_refused() -> None:
    with pytest.raises(SettingsError, match="choose auto, http or ws"):
        asyncio.run(locate("embedded", "carrier-pigeon"))
    with pytest.raises(SettingsError, match="not a server's URL"):
        asyncio.run(locate("embeded"))


def test_an_idle_server_that_keeps_its_episode_is_played_over_http(server: RunningServer) -> None:
    assert asyncio.run(locate(server.url)) == Endpoint("http", server.url)


def test_a_running_episode_is_left_alone_by_the_question(server: RunningServer) -> None:
    async def play() -> None:
        environment = HttpEnvironment(server.url)
        await environment.reset(TASK)
        await environment.step(Action(action_type="escalate"))
        before = state(server)
        assert (await locate(server.url)).transport == "http"
        assert state(server) == before
        assert (await environment.step(Action(action_type="escalate"))).observation.sim_tick == 3
        await environment.aclose()

    asyncio.run(play())


def test_a_stateless_server_is_played_over_websockets() -> None:
    app, asked = state_app(episode_ids=iter(["a", "b"]))
    with RunningServer(app) as stateless:
        found = asyncio.run(locate(stateless.url))
        assert found == Endpoint("ws", stateless.url.replace("http", "ws"))
    # Two ids settle it: no episode was begun to find out.
    assert asked == ["/state", "/state"]
    app, asked = state_app(episode_ids=iter([None] * 3))
    with RunningServer(app) as stateless:
        assert asyncio.run(locate(stateless.url)).transport == "ws"
    assert asked == ["/state", "/state", "/reset", "/step", "/state"]


def test_a_server_that_does_not_answer_or_is_another(server: RunningServer) -> None:
    with RunningServer(Starlette()) as strange, pytest.raises(ProtocolError, match="FirewatchEnv server"):
        asyncio.run(locate(strange.url))
    with pytest.raises(Unreachable, match="is the server running"):
        asyncio.run(locate(strange.url))


def test_health(server: RunningServer, raw_server: Any) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def probe_hanging() -> bool:
        async with raw_server(hang) as port:
            started = asyncio.get_running_loop().time()
            healthy = await is_healthy(f"http://127.0.0.1:{port}", 0.2)
            assert asyncio.get_running_loop().time() - started < 10
            return healthy

    assert asyncio.run(is_healthy(server.url, 1.0))
    sick, _ = state_app(episode_ids=iter([]), health=503)
    with RunningServer(sick) as running:
        assert not asyncio.run(is_healthy(running.url, 1.0))
    assert not asyncio.run(is_healthy(running.url, 1.0))
    assert not asyncio.run(probe_hanging())


def test_the_probe_order() -> None:
    """Local ports, then the hosted server if any, then the embedded environment."""
    assert discovery.LOCAL_PROBES == (("http://localhost:8000", 1.5), ("http://localhost:7860", 1.5))
    with RunningServer() as first, RunningServer() as second, RunningServer() as space:
        probes = ((first.url, 1.5), (second.url, 1.5))
        assert asyncio.run(locate(None, "http", space.url, probes)).url == first.url
        assert asyncio.run(locate(None, "http", space.url, probes[1:])).url == second.url
        assert asyncio.run(locate(None, "http", space.url, ())).url == space.url
    assert asyncio.run(locate(None, "http", space.url, probes)) == Endpoint("embedded")
    assert asyncio.run(locate(None, "auto", None, probes)) == Endpoint("embedded")
