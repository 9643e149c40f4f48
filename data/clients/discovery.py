"""Finds the environment to play in: the one asked for, else a server that answers, else the embedded one."""

import asyncio
from dataclasses import dataclass
from typing import Literal

import httpx

from data.clients.http_client import HttpEnvironment
from data.clients.websocket_client import WebSocketEnvironment
from data.environment import Environment
from data.errors import ProtocolError, SettingsError, Unreachable
from data.wire import Address, ServerState, decode_body, http_client, one_line, read_state

Transport = Literal["embedded", "http", "ws"]

EMBEDDED = "embedded"
# Probed in this order by default, with time-outs; a sleeping hosted Space is slow to wake up.
LOCAL_PROBES = (("http://localhost:8000", 1.5), ("http://localhost:7860", 1.5))
SPACE_PROBE_S = 60.0

# A cheap episode, to find out whether the server keeps episodes over HTTP.
_PROBE_RESET = {"difficulty": "easy", "seed": 0}
_PROBE_STEP = {"action": {"action_type": "escalate"}}


@dataclass(frozen=True)
class Endpoint:
    """Where and how to play."""

    transport: Transport
    url: str = ""

    @property
    def has_sessions(self) -> bool:
        """Whether several environments can be open at the same time, each with its own episode."""
        return self.transport != "http"

    def open(self) -> Environment:
        """A new environment; it connects at the first reset."""
        if self.transport == "http":
            return HttpEnvironment(self.url)
        if self.transport == "ws":
            return WebSocketEnvironment(self.url)
        from data.simulator.world.environment import EmbeddedEnvironment

        return EmbeddedEnvironment()

    def __str__(self) -> str:
        return self.url or EMBEDDED


async def locate(
    choice: str | None = None,
    transport: str = "auto",
    space_url: str | None = None,
    local_probes: tuple[tuple[str, float], ...] = LOCAL_PROBES,
) -> Endpoint:
    """Decides where and how to play.

    Args:
        choice: a URL or "embedded"; None probes.
        transport: "auto", "http" or "ws".
        space_url: a hosted server to probe last.
        local_probes: servers to probe first, each with a time-out in seconds.

    Raises:
        SettingsError: `choice` or `transport` is invalid.
        Unreachable: the chosen server does not answer.
    """
    if transport not in ("auto", "http", "ws"):
        raise SettingsError(f"transport '{transport}' – choose auto, http or ws")
    if choice == EMBEDDED:
        return Endpoint("embedded")
    url = choice or await _first_healthy(local_probes, space_url)
    if url is None:
        return Endpoint("embedded")
    address = Address.parse(url)
    if choice and not address.is_local:
        # This wakes up a sleeping hosted Space; errors show below.
        await is_healthy(url, SPACE_PROBE_S)
    if transport == "ws" or (transport == "auto" and url.strip().startswith("ws")):
        return Endpoint("ws", address.ws)
    if transport == "http" or await keeps_episodes_over_http(address):
        return Endpoint("http", address.http)
    return Endpoint("ws", address.ws)


async def _first_healthy(local_probes: tuple[tuple[str, float], ...], space_url: str | None) -> str | None:
    """The first probed server whose `/health` answers 200."""
    hosted: tuple[tuple[str, float], ...] = ((space_url, SPACE_PROBE_S),) if space_url else ()
    for url, timeout_s in (*local_probes, *hosted):
        if await is_healthy(url, timeout_s):
            return url
    return None


async def is_healthy(url: str, timeout_s: float) -> bool:
    """Whether `GET /health` answers 200 within `timeout_s`."""
    async with http_client(Address.parse(url), timeout_s) as client:
        try:
            async with asyncio.timeout(timeout_s):
                return (await client.get("/health")).status_code == 200
        except (httpx.RequestError, TimeoutError):
            return False


async def keeps_episodes_over_http(address: Address, timeout_s: float = 30.0) -> bool:
    """Whether HTTP calls share one episode, as on FirewatchEnv; stock OpenEnv servers start one per call.

    Two reads of `/state` settle most cases: steps already taken mean that an episode is kept, two different
    episode ids mean that none is. On an idle server, one reset and one step are needed to find out.

    Raises:
        Unreachable: the server does not answer.
        ProtocolError: it is another kind of server.
    """
    async with http_client(address, timeout_s) as client:
        try:
            async with asyncio.timeout(2 * timeout_s):
                first, second = await _state(client), await _state(client)
                if first.step_count or second.step_count:
                    return True
                if first.episode_id != second.episode_id:
                    return False
                for path, body in (("/reset", _PROBE_RESET), ("/step", _PROBE_STEP)):
                    await client.post(path, json=body)
                return (await _state(client)).step_count > 0
        except (httpx.RequestError, TimeoutError) as error:
            reason = one_line(error) or type(error).__name__
            raise Unreachable(f"{address.http}: no answer ({reason}) – is the server running?") from None


async def _state(client: httpx.AsyncClient) -> ServerState:
    response = await client.get("/state")
    where = f"{client.base_url}state"
    if response.status_code >= 500:
        raise Unreachable(f"{where}: status {response.status_code}")
    if response.status_code != 200:
        raise ProtocolError(f"{where}: status {response.status_code} – is this a FirewatchEnv server?")
    return read_state(decode_body(response.content, where), where)
