"""Runs the embedded environment as a server, in the foreground or in a thread."""

import math
import socket
import threading
from collections.abc import Callable
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from data.errors import SettingsError
from data.simulator.server.app import Limits, create_app
from data.simulator.server.guard import connections_possible, http_protocol, quiet_logs

__all__ = ["Limits", "RunningServer", "create_app", "serve"]


class _Server(uvicorn.Server):
    """uvicorn, but sessions finish before their connections are closed."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        assert isinstance(app, Starlette)
        drain = getattr(app.state, "drain", None)
        if drain is not None:
            await drain()
        for connection in list(self.server_state.connections):
            if not isinstance(connection, H11Protocol):  # a session whose client doesn't read
                connection.transport.abort()
        await super().shutdown(sockets)


def _server(app: Starlette, limits: Limits) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=http_protocol(min(limits.head_s, limits.idle_s), connections_possible(limits.connections)),
            ws_max_queue=2,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws_max_size=limits.body_bytes,
            ws_per_message_deflate=False,
            timeout_keep_alive=math.ceil(limits.idle_s),
            timeout_graceful_shutdown=math.ceil(limits.shutdown_s),
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        # asyncio turns off Nagle's algorithm (40 ms) only if the protocol is given.
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error} – choose another --port") from None


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    on_ready: Callable[[str], None] | None = None,
    app: Starlette | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, then answers pending requests and stops.

    Args:
        host: the address to listen on.
        port: the port to listen on, 0 for any free one.
        limits: for clients.
        on_ready: called with the server's URL once connections are accepted.
        app: what to serve; the embedded environment by default.

    Raises:
        SettingsError: the port is taken or the address not ours.
    """
    limits = limits or Limits()
    with _listen(host, port) as listening:
        quiet_logs()
        if on_ready is not None:
            on_ready(_url(listening))
        _server(app or create_app(limits), limits).run(sockets=[listening])


class RunningServer:
    """A context manager that runs a server in a thread of this process.

    Args:
        app: what to serve; the embedded environment by default.
        limits: for clients.
        host: the address to listen on.
        port: the port to listen on, 0 for any free one.

    Raises:
        SettingsError: the port is taken or the address not ours.
    """

    def __init__(
        self,
        app: Starlette | None = None,
        limits: Limits | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        limits = limits or Limits()
        self._server = _server(app or create_app(limits), limits)
        self._listening = _listen(host, port)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listening]}, name="firewatch-server"
        )
        self.url = _url(self._listening)

    def __enter__(self) -> "RunningServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()
