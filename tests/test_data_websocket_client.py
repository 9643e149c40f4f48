"""The WebSocket client against the real server, and against servers with bad frames."""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from data.clients.http_client import HttpEnvironment
from data.clients.websocket_client import WebSocketEnvironment
from data.errors import (
    ActionRefused,
    CapacityReached,
    EpisodeLost,
    ProtocolError,
    SettingsError,
    TaskRefused,
    Unreachable,
)
from data.observation import Action, Step, Task
from data.simulator.server.serving import Limits, RunningServer

TASK = Task(difficulty="easy", seed=7, max_ticks=20)
OTHER_TASK = Task(difficulty="hard", seed=8, max_ticks=40)
LOOK = Action(action_type="escalate")
RESOLVE = Action(action_type="declare_resolved")
OBSERVED = {
    "type": "observation",
    "data": {
        "observation": {
            "services": {"a": {}},
            "sim_tick": 1,
            "action_history": [{"action_type": "escalate", "feedback_string": "Paged."}],
        },
        "reward": None,
        "done": False,
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


def test_an_episode_is_the_same_as_over_http(server: RunningServer) -> None:
    async def play(environment: WebSocketEnvironment | HttpEnvironment) -> list[Step]:
        steps = [await environment.reset(TASK)]
        name = next(iter(steps[0].observation.services))
        for action in (Action(action_type="fetch_logs", target_service=name), LOOK, RESOLVE):
            steps.append(await environment.step(action))
        with pytest.raises(EpisodeLost, match="reset first"):
            await environment.step(LOOK)
        await environment.aclose()
        await environment.aclose()
        return steps

    over_http = asyncio.run(play(HttpEnvironment(server.url)))
    over_websocket = asyncio.run(play(WebSocketEnvironment(server.url)))
    for one, other in zip(over_http, over_websocket, strict=True):
        assert one.observation == other.observation
        assert (one.done, one.feedback, one.error, one.outcome.score) == (
            other.done,
            other.feedback,
            other.error,
            other.outcome.score,
        )
        assert other.outcome.info == {}


def test_sessions_do_not_see_each_other(server: RunningServer) -> None:
    async def play() -> None:
        ours, theirs = WebSocketEnvironment(server.url), WebSocketEnvironment(server.url)
        assert ours.name == server.url.replace("http", "ws")
        await ours.reset(TASK)
        await theirs.reset(OTHER_TASK)
        for tick in (2, 3):
            assert (await ours.step(LOOK)).observation.sim_tick == tick
            assert (await theirs.step(LOOK)).observation.sim_tick == tick
        await ours.aclose()
        await theirs.aclose()

    asyncio.run(play())


def test_refusals(server: RunningServer) -> None:
    async def play() -> None:
        environment = WebSocketEnvironment(server.url)
        with pytest.raises(EpisodeLost, match="reset first"):
            await environment.step(LOOK)
        with pytest.raises(TaskRefused, match="Unknown task_id: no_such_task"):
            await environment.reset(TASK.model_copy(update={"task_id": "no_such_task"}))
        await environment.reset(TASK)
        with pytest.raises(ActionRefused, match=r"VALIDATION_ERROR.*sent: dance.*the action was dance"):
            await environment.step(Action(action_type="dance"))
        assert (await environment.step(LOOK)).observation.sim_tick == 2
        await environment.aclose()

    asyncio.run(play())


def test_a_server_without_a_place_left() -> None:
    async def play(url: str) -> None:
        first, second = WebSocketEnvironment(url), WebSocketEnvironment(url)
        await first.reset(TASK)
        with pytest.raises(CapacityReached, match="CAPACITY_REACHED: Server at capacity: 1/1"):
            await second.reset(TASK)
        assert (await first.step(LOOK)).observation.sim_tick == 2
        await first.aclose()
        # The place is free once the server has noticed.
        for _ in range(50):
            try:
                await second.reset(TASK)
                break
            except CapacityReached:
                await asyncio.sleep(0.02)
        assert (await second.step(LOOK)).observation.sim_tick == 2
        await second.aclose()

    with RunningServer(limits=Limits(sessions=1)) as server:
        asyncio.run(play(server.url))


def test_an_idle_session_is_opened_anew_at_reset_but_loses_its_episode() -> None:
    async def play(url: str) -> None:
        environment = WebSocketEnvironment(url)
        await environment.reset(TASK)
        await asyncio.sleep(0.4)
        # The server gave a reason before it closed.
        with pytest.raises((EpisodeLost, Unreachable), match=r"SESSION_ERROR|closed"):
            await environment.step(LOOK)
        assert (await environment.reset(TASK)).observation.sim_tick == 1
        await environment.aclose()

    with RunningServer(limits=Limits(idle_s=0.2)) as server:
        asyncio.run(play(server.url))


def test_a_stopped_server_loses_the_episode() -> None:
    async def play() -> None:
        with RunningServer() as server:
            environment = WebSocketEnvironment(server.url)
            await environment.reset(TASK)
            stopping = asyncio.create_task(asyncio.to_thread(server.__exit__, None, None, None))
            await stopping
            with pytest.raises(EpisodeLost, match=r"closed .*1012.*gone with its session"):
                await environment.step(LOOK)
            with pytest.raises(Unreachable, match="no connection"):
                await environment.reset(TASK)
            await environment.aclose()

    asyncio.run(play())


@asynccontextmanager
async def scripted(*answers: Any) -> AsyncIterator[WebSocketEnvironment]:
    """A client of a server that answers frame after frame from a script, whatever it is sent.

    An answer is a frame, raw text, "hang" or "cut"; past the end of the script the connection is cut.
    """
    script = list(answers)

    async def converse(connection: ServerConnection) -> None:
        async for _ in connection:
            answer = script.pop(0) if script else "cut"
            if answer == "hang":
                await connection.wait_closed()
                return
            if answer == "cut":
                connection.transport.abort()
                return
            await connection.send(answer if isinstance(answer, (str, bytes)) else json.dumps(answer))

    async with serve_websocket(converse, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        environment = WebSocketEnvironment(
            f"ws://127.0.0.1:{port}", timeout_s=1.5 if "hang" in script else 20.0
        )
        try:
            yield environment
        finally:
            await environment.aclose()


async def aenumerate(frames: AsyncIterable[Any]) -> AsyncIterator[tuple[int, Any]]:
    number = 0
    async for frame in frames:
        yield number, frame
        number += 1


def error(code: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "data": {"code": code, "message": "it\nbroke", **more}}


@pytest.mark.parametrize(
    ("answer", "at_reset", "at_step"),
    [
        ("{", ProtocolError, ProtocolError),
        ("[]", ProtocolError, ProtocolError),
        (b"\xff", ProtocolError, ProtocolError),
        ({"type": "state", "data": {}}, ProtocolError, ProtocolError),
        ({"type": "observation", "data": {"services": {}}}, ProtocolError, ProtocolError),
        ({"type": "observation"}, ProtocolError, ProtocolError),
        ({"type": "observation", "data": {"observation": {"services": {}}}}, TaskRefused, EpisodeLost),
        (OBSERVED, None, EpisodeLost),  # at a step: the tick does not move
        ({"type": "error", "data": "it broke"}, ProtocolError, ProtocolError),
        (error("VALIDATION_ERROR"), TaskRefused, ActionRefused),
        (error("VALIDATION_ERROR", errors=[{"loc": ["x"], "msg": "no"}]), TaskRefused, ActionRefused),
        (error("EXECUTION_ERROR"), TaskRefused, Unreachable),
        (error("SESSION_ERROR"), Unreachable, Unreachable),
        (error("FACTORY_ERROR"), Unreachable, Unreachable),
        (error("CAPACITY_REACHED"), CapacityReached, CapacityReached),
        (error("SOMETHING_NEW"), ProtocolError, ProtocolError),
        ("hang", Unreachable, Unreachable),
    ],
)
def test_frames_that_are_no_answer(
    answer: Any, at_reset: type[Exception] | None, at_step: type[Exception]
) -> None:
    async def play() -> None:
        async with scripted(answer) as environment:
            if at_reset is not None:
                with pytest.raises(at_reset) as caught:
                    await environment.reset(TASK)
                assert type(caught.value) is at_reset and "\n" not in str(caught.value)
        async with scripted(OBSERVED, answer) as environment:
            assert (await environment.reset(TASK)).feedback == "Paged."
            with pytest.raises(at_step) as caught:
                await environment.step(LOOK)
            assert type(caught.value) is at_step and "\n" not in str(caught.value)

    asyncio.run(play())


def test_a_cancelled_step_takes_its_late_answer_with_it() -> None:
    async def play() -> None:
        late = asyncio.Event()

        async def converse(connection: ServerConnection) -> None:
            async for number, _ in aenumerate(connection):
                if number == 1:
                    await late.wait()
                await connection.send(json.dumps(OBSERVED))

        async with serve_websocket(converse, "127.0.0.1", 0) as listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            environment = WebSocketEnvironment(f"ws://127.0.0.1:{port}")
            await environment.reset(TASK)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await environment.step(LOOK)
            late.set()
            with pytest.raises(EpisodeLost, match="reset first"):
                await environment.step(LOOK)
            await environment.reset(TASK)
            with pytest.raises(
                EpisodeLost, match="tick"
            ):  # the answer to this step: the scripted tick stands still
                await environment.step(LOOK)
            assert (await environment.reset(TASK)).feedback == "Paged."
            await environment.aclose()

    asyncio.run(play())


def test_a_cut_connection() -> None:
    async def play() -> None:
        # Harmless between two episodes: the reset's second attempt opens a new connection.
        async with scripted("cut", OBSERVED) as environment:
            assert (await environment.reset(TASK)).observation.sim_tick == 1
        async with scripted("cut", "cut", OBSERVED) as environment:
            with pytest.raises(Unreachable, match="connection was closed"):
                await environment.reset(TASK)
        async with scripted(OBSERVED, "cut", OBSERVED) as environment:
            await environment.reset(TASK)
            with pytest.raises(EpisodeLost, match="gone with its session"):
                await environment.step(LOOK)
            with pytest.raises(EpisodeLost, match="reset first"):
                await environment.step(LOOK)

    asyncio.run(play())


def test_where_no_websocket_is(raw_server: Any) -> None:
    async def reset(url: str) -> None:
        environment = WebSocketEnvironment(url, timeout_s=1.5)
        with pytest.raises((Unreachable, ProtocolError), match=r"no connection|opens no WebSocket|not a Web"):
            await environment.reset(TASK)
        await environment.aclose()

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def strange_servers() -> None:
        for converse in (garbage, silent):
            async with raw_server(converse) as port:
                await reset(f"ws://127.0.0.1:{port}")

    with RunningServer(Starlette()) as server:
        asyncio.run(reset(server.url))
    asyncio.run(reset(server.url))
    asyncio.run(strange_servers())


def test_what_is_no_servers_url() -> None:
    with pytest.raises(SettingsError):
        WebSocketEnvironment("file:///tmp")
