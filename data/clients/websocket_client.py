"""An environment over a WebSocket: one connection, one session, one episode at a time."""

import asyncio
import contextlib
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidProxy, WebSocketException

from data import wire
from data.errors import (
    ActionRefused,
    CapacityReached,
    EnvironmentFault,
    EpisodeLost,
    ProtocolError,
    TaskRefused,
    Unreachable,
)
from data.limits import MIB, limits
from data.observation import Action, Step, Task
from data.wire import one_line

_CLOSE_TIMEOUT_S = 2.0


class Connect(connect):
    """`websockets.connect` that follows no redirects."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Makes every redirect an error."""
        return exc


class WebSocketEnvironment:
    """A FirewatchEnv server's session over a WebSocket.

    The session ends with its connection, so nothing is repeated within an episode: a missing frame or a
    broken connection loses the episode. `reset` opens a new connection if needed. Frames carry no `info`, so
    an action's feedback comes from the observation's history.

    Args:
        base_url: `ws(s)://` or `http(s)://host[:port][/path]`, without `/ws`.
        timeout_s: for one frame.
        connect_timeout_s: for a connection.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 30.0, connect_timeout_s: float = 5.0) -> None:
        address = wire.Address.parse(base_url)
        self.name = address.ws
        self._where = f"{address.ws}/ws"
        self._is_local = address.is_local
        self._timeout_s = timeout_s
        self._connect_timeout_s = min(connect_timeout_s, timeout_s)
        self._connection: ClientConnection | None = None
        self._last: Step | None = None

    async def reset(self, task: Task) -> Step:
        """Starts `task`, on a new connection if the old one is gone."""
        self._last = None
        frame = {"type": "reset", "data": wire.reset_request(task)}
        try:
            data = await self._exchange(frame, refused=TaskRefused)
        except _Disconnected:
            # The old connection may have been closed between two episodes, so try a new one.
            try:
                data = await self._exchange(frame, refused=TaskRefused)
            except _Disconnected as broken:
                raise Unreachable(f"{self._where}: {broken}") from None
        self._last = wire.read_reset(data, self._where, task)
        return self._last

    async def step(self, action: Action) -> Step:
        """Performs the action; nothing is ever sent twice."""
        before = self._last
        if before is None or before.done or self._connection is None:
            raise EpisodeLost(f"{self._where}: no episode is running – reset first")
        self._last = None
        try:
            data = await self._exchange({"type": "step", "data": action.to_wire()}, refused=ActionRefused)
        except ActionRefused as refused:
            self._last = before
            raise ActionRefused(f"{refused} – the action was {action}") from None
        except _Disconnected as broken:
            raise EpisodeLost(f"{self._where}: {broken}; the episode is gone with its session") from None
        try:
            self._last = wire.read_step(data, self._where, before)
        except EpisodeLost:
            await self.aclose()  # more frames of the wrong episode may come
            raise
        return self._last

    async def aclose(self) -> None:
        """Closes the session."""
        self._last = None
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _exchange(self, frame: dict[str, Any], refused: type[EnvironmentFault]) -> Any:
        """Sends one frame and returns the `data` of the observation frame in response."""
        connection = self._connection or await self._open()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await _ask(connection, json.dumps(frame))
        except TimeoutError:
            # A late frame would be taken for the next response.
            await self.aclose()
            raise Unreachable(f"{self._where}: no answer within {self._timeout_s:g} s") from None
        except asyncio.CancelledError:
            # As above, but the caller's time-out leaves no time for a proper close.
            self._connection = None
            connection.transport.abort()
            raise
        except ConnectionClosed as closed:
            await self.aclose()
            raise _Disconnected(f"the connection was closed ({one_line(closed)})") from None
        try:
            return self._data(wire.decode_body(answer, self._where), refused)
        except (ProtocolError, CapacityReached):
            await self.aclose()
            raise

    async def _open(self) -> ClientConnection:
        try:
            self._connection = await Connect(
                self._where,
                open_timeout=self._connect_timeout_s,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=limits().answer_mib * MIB,
                max_queue=1,
                compression=None,
                proxy=None if self._is_local else True,
            )
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"{self._where}: no connection ({one_line(error) or 'time-out'})") from None
        except (InvalidProxy, ImportError) as error:
            raise wire.bad_proxy(error) from None
        except InvalidMessage as error:
            raise ProtocolError(f"{self._where}: not a WebSocket server ({one_line(error)})") from None
        except (WebSocketException, ValueError) as error:
            raise Unreachable(f"{self._where}: the server opens no WebSocket ({one_line(error)})") from None
        return self._connection

    def _data(self, raw: object, refused: type[EnvironmentFault]) -> Any:
        """The `data` of an observation frame; raises the right error for any other frame."""
        kind = raw.get("type") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or kind not in ("observation", "error"):
            raise ProtocolError(
                f"{self._where}: a frame of type '{one_line(kind)}' where an observation was due"
            )
        data = raw.get("data")
        if kind == "observation":
            return data
        error = data if isinstance(data, dict) else {"message": data}
        code = str(error.get("code", ""))
        reason = one_line(f"{error.get('message') or code}")
        if error.get("errors"):
            reason = f"{reason}: {wire.refusal(error['errors'])}"
        message = f"{self._where}: {code or 'error'}: {reason}"
        if code == "CAPACITY_REACHED":
            raise CapacityReached(message)
        if code == "VALIDATION_ERROR" or (code == "EXECUTION_ERROR" and refused is TaskRefused):
            raise refused(message)
        if code in ("EXECUTION_ERROR", "FACTORY_ERROR", "SESSION_ERROR"):
            raise Unreachable(message)
        raise ProtocolError(message)


class _Disconnected(Exception):
    """The connection closed before the answer came."""


async def _ask(connection: ClientConnection, frame: str) -> str | bytes:
    # A full server says so and closes without reading; its frame can still be received.
    with contextlib.suppress(ConnectionClosed):
        await connection.send(frame)
    return await connection.recv()
