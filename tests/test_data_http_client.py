"""The HTTP client against a real server, through a proxy with faults."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from fault_proxy import Proxy
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from data.clients.http_client import HttpEnvironment
from data.clients.websocket_client import WebSocketEnvironment
from data.errors import (
    ActionRefused,
    CapacityReached,
    EnvironmentFault,
    EpisodeLost,
    ProtocolError,
    SettingsError,
    TaskRefused,
    Unreachable,
)
from data.observation import Action, Step, Task
from data.simulator.server.serving import RunningServer

TASK = Task(difficulty="easy", seed=7, max_ticks=20)
OTHER_TASK = Task(difficulty="hard", seed=8, max_ticks=40)
LOOK = Action(action_type="escalate")
RESOLVE = Action(action_type="declare_resolved")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


Proxied = Callable[..., AbstractAsyncContextManager[tuple[HttpEnvironment, Proxy]]]


@pytest.fixture
def proxied(server: RunningServer, raw_server: Any) -> Proxied:
    """A client behind a proxy; `step=[...]`, `reset=[...]`, `state=[...]` damage those requests."""

    @asynccontextmanager
    async def open_proxy(**faults: list[str | int]) -> AsyncIterator[tuple[HttpEnvironment, Proxy]]:
        methods = {"step": "POST /step", "reset": "POST /reset", "state": "GET /state"}
        proxy = Proxy(server.url, {methods[name]: list(queue) for name, queue in faults.items()})
        timeout_s = (
            1.5 if any(str(fault).startswith("hang") for queue in faults.values() for fault in queue) else 20
        )
        async with raw_server(proxy.handle) as port:
            environment = HttpEnvironment(f"http://127.0.0.1:{port}", timeout_s=timeout_s, settle_s=0.2)
            yield environment, proxy
            await environment.aclose()

    return open_proxy


def steps_taken(server: RunningServer) -> int:
    count: int = httpx.get(f"{server.url}/state", trust_env=False).json()["step_count"]
    return count


async def failing_step(environment: HttpEnvironment, kind: type[EnvironmentFault], match: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        await environment.step(LOOK)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_an_episode(server: RunningServer) -> None:
    async def play() -> list[Step]:
        environment = HttpEnvironment(server.url + "/")
        assert environment.name == server.url
        steps = [await environment.reset(TASK)]
        name = next(iter(steps[0].observation.services))
        steps.append(await environment.step(Action(action_type="fetch_logs", target_service=name)))
        steps.append(await environment.step(Action(action_type="fetch_logs", target_service="ghost")))
        steps.append(await environment.step(RESOLVE))
        with pytest.raises(EpisodeLost, match="reset first"):
            await environment.step(LOOK)
        await environment.aclose()
        await environment.aclose()
        return steps

    begun, looked, missed, ended = asyncio.run(play())
    assert [s.observation.sim_tick for s in (begun, looked, missed, ended)] == [1, 2, 3, 4]
    assert looked.error is None and looked.feedback
    assert missed.error is not None and "ghost" in missed.error
    assert ended.done and ended.outcome.score is not None


def test_refusals(server: RunningServer) -> None:
    async def play() -> None:
        environment = HttpEnvironment(server.url)
        with pytest.raises(EpisodeLost, match="reset first"):
            await environment.step(LOOK)
        unknown = TASK.model_copy(update={"task_id": "no_such_task"})
        with pytest.raises(TaskRefused, match="no_such_task: reset error: Unknown task_id: no_such_task"):
            await environment.reset(unknown)
        await environment.reset(TASK)
        with pytest.raises(ActionRefused, match=r"action_type: Input should be .*sent: dance") as refused:
            await environment.step(Action(action_type="dance"))
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
        # A refused action costs nothing and the episode goes on.
        assert (await environment.step(LOOK)).observation.sim_tick == 2
        await environment.aclose()

    asyncio.run(play())


def test_another_clients_reset_betrays_itself(server: RunningServer) -> None:
    async def play() -> None:
        ours, theirs = HttpEnvironment(server.url), HttpEnvironment(server.url)
        await ours.reset(TASK)
        await ours.step(LOOK)
        begun = await theirs.reset(OTHER_TASK)
        await failing_step(ours, EpisodeLost, "another client has reset it")
        # Our client has not changed their episode, and ours stays ended.
        await failing_step(ours, EpisodeLost, "reset first")
        assert (await theirs.step(LOOK)).observation.sim_tick == begun.observation.sim_tick + 1
        # The same task, so that only the id differs.
        await ours.reset(TASK)
        await theirs.reset(TASK)
        await failing_step(ours, EpisodeLost, "another client has reset it")
        await ours.aclose()
        await theirs.aclose()

    asyncio.run(play())


def test_another_clients_step_betrays_itself(server: RunningServer) -> None:
    async def play() -> None:
        environment = HttpEnvironment(server.url)
        await environment.reset(TASK)
        httpx.post(f"{server.url}/step", json={"action": LOOK.to_wire()}, trust_env=False)
        await failing_step(environment, EpisodeLost, "another client plays the same episode")
        await environment.aclose()

    asyncio.run(play())


@pytest.mark.parametrize("fault", ["hang after", "cut after", "502 after"])
def test_a_step_that_took_hold_without_an_answer_is_not_repeated(
    server: RunningServer, proxied: Proxied, fault: str
) -> None:
    async def play() -> None:
        async with proxied(step=["pass", fault]) as (environment, proxy):
            await environment.reset(TASK)
            seen = await environment.step(LOOK)
            stale = await environment.step(LOOK)
            assert stale.observation == seen.observation and not stale.done
            assert stale.error is not None and "took hold" in stale.error
            # The next answer is two ticks later and lists both actions.
            after = await environment.step(LOOK)
            assert after.observation.sim_tick == seen.observation.sim_tick + 2
            assert len(after.observation.action_history) == 3
            assert proxy.count("POST /step") == 3 == steps_taken(server)

    asyncio.run(play())


def test_a_lost_answer_to_the_last_action_ends_the_episode(proxied: Proxied) -> None:
    async def play() -> None:
        async with proxied(step=["hang after"]) as (environment, proxy):
            await environment.reset(TASK)
            ended = await environment.step(RESOLVE)
            assert ended.done and ended.outcome.score is None
            assert proxy.count("POST /step") == 1

    asyncio.run(play())


@pytest.mark.parametrize("fault", ["cut", 500, 502, 503])
def test_a_step_that_never_arrived_is_sent_once_more(
    server: RunningServer, proxied: Proxied, fault: str | int
) -> None:
    async def play() -> None:
        async with proxied(step=[fault]) as (environment, proxy):
            await environment.reset(TASK)
            assert (await environment.step(LOOK)).observation.sim_tick == 2
            assert proxy.count("POST /step") == 2
            assert steps_taken(server) == 1
        async with proxied(step=[fault, fault, "pass"]) as (environment, proxy):
            await environment.reset(TASK)
            await failing_step(environment, Unreachable, "; then: ")
            assert proxy.count("POST /step") == 2

    asyncio.run(play())


@pytest.mark.parametrize("fault", ["hang", 504])
def test_a_step_that_may_still_arrive_is_not_repeated(proxied: Proxied, fault: str | int) -> None:
    async def play() -> None:
        async with proxied(step=[fault]) as (environment, proxy):
            await environment.reset(TASK)
            await failing_step(environment, Unreachable, "not sent again")
            assert proxy.count("POST /step") == 1
            await failing_step(environment, EpisodeLost, "reset first")

    asyncio.run(play())


def test_resets_and_looks_at_the_state_survive_a_short_failure(proxied: Proxied) -> None:
    async def play() -> None:
        async with proxied(reset=["cut", 503], state=["cut after", 502]) as (environment, _):
            await environment.reset(TASK)
            assert (await environment.step(LOOK)).observation.sim_tick == 2
        async with proxied(reset=[500, 500, 500]) as (environment, proxy):
            with pytest.raises(Unreachable, match=r"/reset: status 500 \(oops\)"):
                await environment.reset(TASK)
            assert proxy.count("POST /reset") == 3
        async with proxied(reset=["hang"]) as (environment, _):
            with pytest.raises(Unreachable, match=r"no answer within 1.5 s"):
                await environment.reset(TASK)

    asyncio.run(play())


def test_a_restarted_server_has_lost_the_episode() -> None:
    async def play() -> None:
        first = RunningServer()
        with first:
            environment = HttpEnvironment(first.url)
            await environment.reset(TASK)
        await failing_step(environment, Unreachable, "no connection")
        await environment.aclose()

    asyncio.run(play())


def app(handler: Callable[[Request], Awaitable[Response]]) -> Starlette:
    """A server that answers every request with `handler`."""
    return Starlette(routes=[Route("/{path:path}", handler, methods=["GET", "POST"])])


@pytest.mark.parametrize(
    ("status", "body", "kind", "match"),
    [
        (200, b"<html>", ProtocolError, "not JSON but '<html>'"),
        (200, b"[]", ProtocolError, "carries no observation"),
        (200, b'{"metadata": null}', ProtocolError, "carries no observation"),
        (200, b'{"metadata": {"error": "no seed"}, "services": {}}', ProtocolError, "no seed"),
        (200, b'{"observation": {"services": 3}}', ProtocolError, "field 'services' is 3"),
        (200, b"[" * 100_000, ProtocolError, "not JSON"),
        (200, b'{"observation": {"services": {}}}', TaskRefused, "started no service"),
        (302, b"", ProtocolError, "status 302"),
        (404, b"gone", ProtocolError, "status 404 .gone."),
        (422, b'{"detail": "bad seed"}', TaskRefused, "bad seed"),
        (422, b"[1]", TaskRefused, "1"),
        (429, b"too many", CapacityReached, "too many"),
    ],
)
def test_strange_answers(
    status: int, body: bytes, kind: type[Exception], match: str, raw_server: Any
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Strange\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await reader.read()

    async def play() -> None:
        async with raw_server(answer) as port:
            environment = HttpEnvironment(f"http://127.0.0.1:{port}", timeout_s=20)
            with pytest.raises(kind, match=match) as caught:
                await environment.reset(TASK)
            await environment.aclose()
        assert type(caught.value) is kind and "\n" not in str(caught.value)

    asyncio.run(play())


def test_a_dripping_answer_is_bounded_in_time(raw_server: Any) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b" ")
            await asyncio.sleep(0.05)

    async def play() -> None:
        async with raw_server(drip) as port:
            environment = HttpEnvironment(f"http://127.0.0.1:{port}", timeout_s=0.3)
            started = asyncio.get_running_loop().time()
            with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
                await environment.reset(TASK)
            assert asyncio.get_running_loop().time() - started < 4.5
            await environment.aclose()

    asyncio.run(play())


def test_a_server_without_state_is_played_but_never_asked_twice(proxied: Proxied) -> None:
    async def play() -> None:
        async with proxied(state=[404] * 20, step=["pass", "cut"]) as (environment, proxy):
            await environment.reset(TASK)
            assert (await environment.step(LOOK)).observation.sim_tick == 2
            await failing_step(environment, Unreachable, "nobody knows whether it took hold")
            assert proxy.count("POST /step") == 2

    asyncio.run(play())


def stateless_app(server: RunningServer, episode_id: bool) -> Starlette:
    """A plain OpenEnv server: every HTTP call builds and discards an environment."""
    calls = iter(range(1000))

    async def answer(request: Request) -> Response:
        number = next(calls)
        if request.url.path == "/state":
            state: dict[str, Any] = {"episode_id": f"id-{number}" if episode_id else None, "step_count": 0}
            return JSONResponse(state)
        body = json.loads(await request.body())
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            if request.url.path == "/step":
                body, path = {"difficulty": "easy", "seed": number}, "/reset"
            else:
                path = request.url.path
            return Response((await client.post(path, json=body)).content, media_type="application/json")

    return app(answer)


@pytest.mark.parametrize("episode_id", [True, False])
def test_a_stateless_server_is_recognised(server: RunningServer, episode_id: bool) -> None:
    async def play() -> None:
        with RunningServer(stateless_app(server, episode_id)) as stateless:
            environment = HttpEnvironment(stateless.url)
            await environment.reset(TASK)
            with pytest.raises(EpisodeLost):
                await environment.step(LOOK)
            await environment.aclose()

    asyncio.run(play())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://x",
        "http://",
        "http://x:port",
        "http://x:0",
        "http://x?a=1",
        "http://u:p@x",
        "http://256.1.1.1",
        "http://a..b",
    ],
)
def test_what_is_no_servers_url(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        HttpEnvironment(url)
    assert "u:p" not in str(refused.value)


@pytest.mark.parametrize(
    ("client", "variable", "proxy"),
    [
        (HttpEnvironment, "ALL_PROXY", "socks5://u:secret@proxy:1"),
        (HttpEnvironment, "HTTP_PROXY", "x://u:secret@proxy"),
        (WebSocketEnvironment, "HTTP_PROXY", "x://u:secret@proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch,
    client: type[HttpEnvironment] | type[WebSocketEnvironment],
    variable: str,
    proxy: str,
) -> None:
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(SettingsError, match="HTTP_PROXY") as refused:
        asyncio.run(client("http://firewatch.example").reset(TASK))
    assert "secret" not in str(refused.value)
