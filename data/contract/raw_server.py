"""Low-level access to a server, for the contract's rules."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from data.contract.rule import NotTried, demand
from data.wire import Address, decode_body, one_line

PAUSE_S = 0.1


@dataclass(frozen=True)
class Server:
    """A server, through an HTTP client and WebSocket connections."""

    http: httpx.AsyncClient
    address: Address
    patience: int  # number of attempts to get a session

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Sends an HTTP request; returns status and decoded body."""
        response = await self.http.request(method, path, json=body)
        return response.status_code, decode_body(response.content, path)

    async def post(self, path: str, body: object) -> dict[str, Any]:
        """Sends a POST that must be answered with 200 and an object; returns the object."""
        status, answer = await self.call("POST", path, body)
        demand(status == 200, f"{path} {one_line(body)}: status {status}")
        demand(isinstance(answer, dict), f"{path} {one_line(body)}: the answer is no object")
        return dict(answer)

    async def state(self) -> dict[str, Any]:
        """The response of `/state`."""
        status, answer = await self.call("GET", "/state")
        demand(status == 200 and isinstance(answer, dict), f"/state: status {status}")
        return dict(answer)

    def connection(self) -> connect:
        """A new WebSocket connection, for `async with`."""
        return connect(f"{self.address.ws}/ws", max_size=None, proxy=None if self.address.is_local else True)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ClientConnection]:
        """A connection with a session; waits for a server that is still closing an earlier session.

        Raises:
            NotTried: other clients use all sessions.
        """
        for _ in range(self.patience):
            async with self.connection() as connection:
                if (await ask_frame(connection, "state"))["data"].get("code") != "CAPACITY_REACHED":
                    yield connection
                    return
            await asyncio.sleep(PAUSE_S)
        raise NotTried("not tried: the server has no session free for this check")


async def ask_frame(connection: ClientConnection, kind: str, data: object = None) -> dict[str, Any]:
    """Sends a frame and returns the frame in response."""
    # A full server closes at once, but its frame can still be received.
    with suppress(ConnectionClosed):
        await connection.send(json.dumps({"type": kind, "data": data}))
    frame = decode_body(await connection.recv(), "/ws")
    demand(isinstance(frame, dict) and isinstance(frame.get("data"), dict), f"frame: {one_line(frame)}")
    return dict(frame)
