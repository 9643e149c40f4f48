"""The server application: FirewatchEnv's HTTP and WebSocket protocol on Starlette."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from data.errors import CapacityReached, FirewatchError
from data.observation import Observation
from data.simulator.requests import (
    ActionRequest,
    ResetRequest,
    StepRequest,
    complaints,
    flat_refusal,
    invalid_request,
)
from data.simulator.server.guard import OwnCallersOnly, bounded_body
from data.simulator.server.sessions import Session, Sessions
from data.simulator.world.world import World
from data.wire import ServerState, decode_body, one_line

NORMAL_CLOSE, RESTART_CLOSE = 1000, 1012
_STOPPING = "the server is shutting down"
# On shutdown, sessions still accept frames that are already on their way for this long.
_LAST_WORDS_S = 0.05


@dataclass(frozen=True)
class Limits:
    """The server's limits for its clients."""

    sessions: int = 256  # concurrent WebSocket sessions
    body_bytes: int = 2**20  # largest request body or frame
    idle_s: float = 900.0  # a session or connection is closed after this long without traffic
    connections: int = 1024  # concurrent connections, including sessions; fewer if the system allows fewer
    head_s: float = 10.0  # time for a request's head to arrive
    receive_s: float = 30.0  # time for its body
    shutdown_s: float = 0.8  # time on shutdown for clients to read their last answers


class SimulatorApp:
    """The request handlers: one HTTP episode shared by all clients, and WebSocket sessions.

    Worlds run on the event loop: a step takes a fraction of a millisecond, and this keeps steps atomic.
    """

    def __init__(self, limits: Limits, make_world: Callable[[], World]) -> None:
        self._limits = limits
        self._shared = Session(make_world())
        self._sessions = Sessions(make_world, limits.sessions)
        self._draining = False
        self._listening: set[asyncio.Timeout] = set()

    def routes(self) -> list[Route | WebSocketRoute]:
        """All routes of the server."""
        return [
            Route("/reset", self._reset, methods=["POST"]),
            Route("/step", self._step, methods=["POST"]),
            Route("/state", self._state),
            Route("/health", self._health),
            Route("/metadata", self._metadata),
            Route("/schema", self._schema),
            WebSocketRoute("/ws", self._session),
        ]

    async def drain(self) -> None:
        """Lets every session answer pending frames, then closes it; new sessions are refused."""
        self._draining = True
        deadline = asyncio.get_running_loop().time() + _LAST_WORDS_S
        for clock in self._listening:
            if not clock.expired():
                clock.reschedule(deadline)
        # A client that doesn't read its answer would keep its session open for ever.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.shutdown_s):
                while len(self._sessions):
                    await asyncio.sleep(0.01)

    # HTTP: one episode for all clients.

    async def _reset(self, request: Request) -> Response:
        try:
            asked = ResetRequest.model_validate(await self._body(request))
        except ValidationError as error:
            return _json(flat_refusal(invalid_request(error)))
        return _json(self._shared.reset(asked))

    async def _step(self, request: Request) -> Response:
        try:
            asked = StepRequest.model_validate(await self._body(request))
        except ValidationError as error:
            return _json({**flat_refusal(invalid_request(error)), "info": self._shared.info})
        try:
            action = ActionRequest.model_validate(asked.action)
        except ValidationError as error:
            return _json({"detail": complaints(error), "info": self._shared.info}, status=422)
        return _json(self._shared.step(action))

    async def _state(self, _request: Request) -> Response:
        return _json(self._shared.state)

    async def _health(self, _request: Request) -> Response:
        return _json({"status": "healthy"})

    async def _metadata(self, _request: Request) -> Response:
        return _json(
            {
                "name": "firewatch-env",
                "description": "Microservice incidents to investigate and mend, one 30-second tick at a time",
                "max_sessions": self._limits.sessions,
            }
        )

    async def _schema(self, _request: Request) -> Response:
        return _json(
            {
                "action": ActionRequest.model_json_schema(),
                "observation": Observation.model_json_schema(by_alias=True),
                "state": ServerState.model_json_schema(),
            }
        )

    async def _body(self, request: Request) -> object:
        """The JSON of a request's body; a body that is not JSON counts as an invalid request."""
        body = await bounded_body(request, self._limits.body_bytes, self._limits.receive_s)
        try:
            return decode_body(body, "body", finite=True)
        except FirewatchError:
            return body.decode(errors="replace")

    # WebSocket: one world per connection.

    async def _session(self, socket: WebSocket) -> None:
        await socket.accept()
        if self._draining:
            await socket.close(RESTART_CLOSE, _STOPPING)
            return
        try:
            with self._sessions.place() as session:
                await self._converse(socket, session)
        except CapacityReached as full:
            await _send(socket, _error("CAPACITY_REACHED", str(full)))
            await socket.close(NORMAL_CLOSE)

    async def _converse(self, socket: WebSocket, session: Session) -> None:
        try:
            while not self._draining:
                text = await self._next_frame(socket)
                if text is None:
                    return
                answer = _answer(session, text)
                if answer is None:
                    await socket.close(NORMAL_CLOSE)
                    return
                await _send(socket, answer)
                await asyncio.sleep(0)  # a client that sends without pause must not block others
            await socket.close(RESTART_CLOSE, _STOPPING)
        except WebSocketDisconnect:
            # The client left before its answer was sent.
            return

    async def _next_frame(self, socket: WebSocket) -> str | bytes | None:
        """The next frame; None if the connection was closed: by the client, when idle, or on shutdown."""
        clock = asyncio.timeout(self._limits.idle_s)
        try:
            async with clock:
                self._listening.add(clock)
                return await _receive(socket)
        except TimeoutError:
            if self._draining:
                await socket.close(RESTART_CLOSE, _STOPPING)
            else:
                reason = f"nothing heard for {self._limits.idle_s:g} s, the session is closed"
                await _send(socket, _error("SESSION_ERROR", reason))
                await socket.close(NORMAL_CLOSE)
            return None
        finally:
            self._listening.discard(clock)


def _answer(session: Session, text: str | bytes) -> dict[str, Any] | None:
    """The frame in response to a frame; None for "close"."""
    try:
        frame = decode_body(text, "frame", finite=True)
    except FirewatchError:
        return _error("INVALID_JSON", "The frame is not JSON")
    kind = frame.get("type") if isinstance(frame, dict) else None
    try:
        if kind == "reset":
            data = session.reset(ResetRequest.model_validate(frame.get("data") or {}))
        elif kind == "step":
            data = session.step(ActionRequest.model_validate(frame.get("data")))
        elif kind == "state":
            return {"type": "state", "data": session.state}
        elif kind == "close":
            return None
        else:
            return _error("UNKNOWN_TYPE", f"Unknown message type: {one_line(kind)[:80]}")
    except ValidationError as error:
        return _error("VALIDATION_ERROR", "Invalid message", errors=complaints(error))
    return {
        "type": "observation",
        "data": {name: data[name] for name in ("observation", "reward", "done")},
    }


def _error(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "data": {"message": message, "code": code, **more}}


def _dumps(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


async def _receive(socket: WebSocket) -> str | bytes | None:
    """The next frame; None if the client has closed the connection."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        return None
    text: str | bytes | None = message.get("text")
    return text if text is not None else message["bytes"]


async def _send(socket: WebSocket, frame: dict[str, Any]) -> None:
    await socket.send_text(_dumps(frame))


def _json(content: object, status: int = 200) -> Response:
    return Response(_dumps(content), status_code=status, media_type="application/json")


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"detail": error.detail}, status=error.status_code)


def create_app(limits: Limits | None = None, make_world: Callable[[], World] = World) -> Starlette:
    """The ASGI application, with a world for every session."""
    simulator = SimulatorApp(limits or Limits(), make_world)
    app = Starlette(
        routes=simulator.routes(),
        middleware=[Middleware(OwnCallersOnly)],
        exception_handlers={HTTPException: _http_error},
    )
    app.state.drain = simulator.drain
    return app
