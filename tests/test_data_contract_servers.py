"""Every server obeys the contract, and for each rule one breaks only that rule."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.clients.discovery import Endpoint
from data.contract.rule import RuleResult
from data.contract.server_rules import SERVER_RULES, check_server
from data.observation import Task
from data.simulator.server.serving import Limits, RunningServer, create_app
from data.simulator.world.world import World


def failed(results: tuple[RuleResult, ...]) -> set[str]:
    return {result.rule for result in results if not result.passed}


class Spoiling:
    """Middleware that changes a server's output: HTTP status and body, and WebSocket frames."""

    def __init__(
        self,
        app: ASGIApp,
        http: Callable[[str, int, Any], tuple[int, Any]] | None = None,
        frame: Callable[[Any], Any] | None = None,
        sessions: int = 1000,
    ) -> None:
        self.app, self.http, self.frame, self.free = app, http, frame, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.http:
            await self._spoil_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._spoil_websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _spoil_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun: list[Message] = []

        async def change(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            assert self.http is not None
            status, body = self.http(scope["path"], begun[0]["status"], json.loads(message["body"]))
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})

        await self.app(scope, receive, change)

    async def _spoil_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def change(message: Message) -> None:
            if message["type"] == "websocket.send" and self.frame:
                message = {**message, "text": json.dumps(self.frame(json.loads(message["text"])))}
            await send(message)

        if not self.free:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
            return
        self.free -= 1
        try:
            await self.app(scope, receive, change)
        finally:
            self.free += 1


def http(change: Callable[[str, int, Any], tuple[int, Any] | None]) -> dict[str, Any]:
    """Changes HTTP answers; None leaves one unchanged."""
    return {"http": lambda path, status, body: change(path, status, body) or (status, body)}


def body_with(path: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    return http(lambda at, status, body: (status, change(body)) if at == path else None)


def reason(body: Any) -> str:
    history = body.get("observation", {}).get("action_history") or [{"feedback_string": ""}]
    return str(history[-1]["feedback_string"])


def no_feedback(body: Any) -> Any:
    body.get("info", {}).pop("action_feedback", None)
    return body


def show_a_service(body: Any) -> Any:
    if reason(body).startswith("reset error"):
        body["observation"]["services"] = {"a": {}}
    return body


def done_again(body: Any) -> Any:
    return {**body, "done": True} if "already completed" in reason(body) else body


def free_of_charge(body: Any) -> Any:
    return {**body, "reward": 0.0} if body.get("reward") == -0.5 else body


def another_world(body: Any) -> Any:
    if "observation" in body:
        body["observation"]["bad_customer_minutes"] = 77.0
    return body


def observe_anything(body: Any) -> Any:
    return {**body, "observation": {"services": {}}} if "metadata" in body else body


def tell_all(frame: Any) -> Any:
    if frame["type"] == "observation":
        frame["data"]["info"] = {}
    return frame


def strange_code(frame: Any) -> Any:
    if frame["type"] == "error":
        frame["data"]["code"] = "OOPS"
    return frame


BROKEN_SERVERS: dict[str, dict[str, Any]] = {
    "health-answers": http(lambda path, _, body: (503, body) if path == "/health" else None),
    "the-server-describes-itself": http(lambda path, _, body: (404, body) if path == "/schema" else None),
    "answers-have-their-parts": body_with("/step", no_feedback),
    "the-state-counts-steps": body_with("/state", lambda body: {**body, "step_count": 0}),
    "what-is-no-action-is-refused-with-422": http(lambda _, s, body: (400, body) if s == 422 else None),
    "what-is-no-request-is-answered-flat": http(lambda _, status, body: (status, observe_anything(body))),
    "unknown-tasks-start-nothing": body_with("/reset", show_a_service),
    "unknown-targets-cost-half-a-point": body_with("/step", free_of_charge),
    "after-the-end-nothing-moves": body_with("/step", done_again),
    "frames-are-like-answers-without-info": {"frame": tell_all},
    "frames-that-are-none-get-an-error": {"frame": strange_code},
    "a-second-session-is-its-own-or-turned-away": {"sessions": 1},
    "both-transports-show-the-same": body_with("/reset", another_world),
    "huge-requests-do-no-harm": http(lambda _, status, body: (500, body) if status == 413 else None),
}


def test_every_rule_has_its_broken_server() -> None:
    assert {rule.name for rule in SERVER_RULES} == BROKEN_SERVERS.keys()


@pytest.mark.parametrize("rule", [None, *BROKEN_SERVERS])
def test_a_broken_server_fails_its_rule_and_no_other(rule: str | None) -> None:
    app: Starlette = create_app()
    if rule is not None:
        app.add_middleware(Spoiling, **BROKEN_SERVERS[rule])
    with RunningServer(app) as server:
        results = asyncio.run(check_server(server.url))
    assert failed(results) == ({rule} if rule else set())
    assert len(results) == len(SERVER_RULES)


def test_a_server_with_one_session_keeps_the_contract() -> None:
    limits = Limits(sessions=1)
    with RunningServer(create_app(limits), limits) as server:
        assert [r for r in asyncio.run(check_server(server.url)) if not r.passed] == []


def test_one_session_and_one_episode_for_both_transports_are_no_failure() -> None:
    """Like the original server, which frees a place only some time after its session ends."""
    world, limits = World(), Limits(sessions=1)
    app = create_app(limits, lambda: world)

    class SlowToForget:
        def __init__(self, app: ASGIApp) -> None:
            self.app, self.taken = app, False

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "websocket":
                return await self.app(scope, receive, send)
            if self.taken:
                await receive()
                await send({"type": "websocket.accept"})
                full = {"type": "error", "data": {"code": "CAPACITY_REACHED", "message": "1/1 sessions"}}
                await send({"type": "websocket.send", "text": json.dumps(full)})
                return await send({"type": "websocket.close", "code": 1000})
            self.taken = True
            try:
                await self.app(scope, receive, send)
            finally:
                await asyncio.sleep(0.3)
                world.episode = None  # whoever comes next finds nothing
                self.taken = False

    app.add_middleware(SlowToForget)
    with RunningServer(app, limits) as server:
        results = asyncio.run(check_server(server.url))
        assert [(r.rule, r.why) for r in results if not r.passed or r.why] == []


def test_a_server_without_a_free_session_is_not_accused() -> None:
    limits = Limits(sessions=1)
    with RunningServer(create_app(limits), limits) as server:

        async def play() -> tuple[RuleResult, ...]:
            other = Endpoint("ws", server.url.replace("http", "ws")).open()
            await other.reset(Task(difficulty="easy", seed=1, max_ticks=20))
            try:
                return await check_server(server.url)
            finally:
                await other.aclose()

        results = asyncio.run(play())
        assert failed(results) == set()
        assert sum("no session free" in result.why for result in results) == 5


def test_a_server_that_is_gone_fails_every_rule() -> None:
    with RunningServer() as server:
        pass
    results = asyncio.run(check_server(server.url))
    assert not any(result.passed for result in results) and all(result.why for result in results)
