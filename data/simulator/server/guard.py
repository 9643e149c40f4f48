"""Protects a server: connection time-outs, a bounded log, and no calls from web pages."""

import asyncio
import logging
import resource
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from data.wire import is_local

# File descriptors that the process itself needs.
_OWN_DESCRIPTORS = 64


def connections_possible(wanted: int) -> int:
    """The number of connections that the operating system allows, at most `wanted`."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if allowed == resource.RLIM_INFINITY else max(min(wanted, allowed - _OWN_DESCRIPTORS), 1)


def http_protocol(header_s: float, connections: int) -> type[H11Protocol]:
    """uvicorn's HTTP protocol with two more limits, for which it has no options.

    Args:
        header_s: time for a complete request head to arrive.
        connections: most concurrent connections; more are closed at once.
    """

    class BoundedProtocol(H11Protocol):
        """HTTP with a time-out for silent connections and incomplete requests."""

        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > connections:
                transport.abort()
                return
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            upgraded = self.transport.get_protocol() is not self
            if upgraded or (self.cycle is not None and not self.cycle.response_complete):
                self._stop_waiting()
            elif self._waiting is None:
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._waiting = self.loop.call_later(header_s, self.transport.abort)

        def _stop_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

    return BoundedProtocol


async def bounded_body(request: Request, largest_bytes: int, receive_s: float) -> bytes:
    """The body of a request.

    Raises:
        HTTPException: it is too large, or does not arrive in time.
    """
    chunks, size = [], 0
    try:
        async with asyncio.timeout(receive_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > largest_bytes:
                    raise HTTPException(413, f"The body exceeds {largest_bytes} bytes")
                chunks.append(chunk)
    except TimeoutError:
        raise HTTPException(408, f"The body did not arrive within {receive_s:g} s") from None
    return b"".join(chunks)


class OneLineASecond(logging.Filter):
    """Passes one log line per second, without traceback, so that no flood of requests fills the disk."""

    _last_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the line."""
        now_s = time.monotonic()
        if now_s - self._last_s < 1.0:
            return False
        self._last_s = now_s
        if record.exc_info and record.exc_info[1] is not None:
            record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]!r}".splitlines()[0], None
            record.exc_info = record.exc_text = None
        return True


def quiet_logs() -> None:
    """Limits the log output of a server in the foreground."""
    keep = OneLineASecond()
    for name in ("uvicorn.error", "asyncio", "websockets.server"):
        logging.getLogger(name).addFilter(keep)


class OwnCallersOnly:
    """Refuses requests from web pages, and requests to a loopback address under another host name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses the request or passes it on."""
        reason = _refused(scope) if scope["type"] in ("http", "websocket") else None
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await PlainTextResponse(reason, status_code=403)(scope, receive, send)


def _refused(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    host = _name(f"//{headers.get('host', '')}")
    origin = headers.get("origin")
    if is_local((scope.get("server") or ("", 0))[0]) and not is_local(host):
        return "This server is called localhost; listen on another address to be called otherwise"
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return "Calls from web pages of other servers are refused"
    if scope["type"] == "http" and headers.get("content-type", "").lower().startswith("text/plain"):
        return "Send JSON as application/json"
    return None


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
