"""An environment behind HTTP: one shared episode a server, guarded against all that can happen to it."""

import asyncio
from typing import Any

import httpx

from data.errors import ActionRefused, CapacityReached, EpisodeLost, ProtocolError, TaskRefused, Unreachable
from data.observation import Action, Step, Task
from data.wire import (
    Address,
    ServerState,
    decode_body,
    http_client,
    one_line,
    read_reset,
    read_state,
    read_step,
    refusal,
    reset_request,
    stale_step,
)

# Pauses between attempts at what can be repeated without harm.
_PAUSES_S = (0.1, 0.4)
_POLL_S = 0.1


class _NoAnswer(Exception):
    """A request without a usable answer.

    Args:
        arrived: the server may have begun to work on it.
        pending: it may still be working on it, or begin later.
    """

    def __init__(self, reason: str, *, arrived: bool, pending: bool) -> None:
        super().__init__(reason)
        self.arrived, self.pending = arrived, pending


class HttpEnvironment:
    """A FirewatchEnv server over HTTP.

    Such a server holds one episode, whoever asks. Before every step `/state` must still name the episode
    that our reset began, and after it the services and the tick must continue it; otherwise the episode is
    lost. A step whose answer did not come is compared with `/state.step_count`: had it taken hold, the
    episode goes on with the previous observation; had it not, it is sent once more, but only if the first
    cannot arrive any more.

    Args:
        base_url: where the server is, `http(s)://host[:port][/path]`.
        timeout_s: the longest wait for the whole answer to one request.
        connect_timeout_s: the longest wait for a connection.
        settle_s: how long `/state.step_count` is watched after a step without an answer.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        settle_s: float = 1.0,
    ) -> None:
        address = Address.parse(base_url)
        self._base_url = address.http
        self._timeout_s = timeout_s
        self._settle_s = settle_s
        self._client = http_client(
            address, httpx.Timeout(timeout_s, connect=min(connect_timeout_s, timeout_s))
        )
        self._last: Step | None = None
        # What `/state` said when our episode began; None for a server without `/state`.
        self._began: ServerState | None = None
        self._steps = 0

    @property
    def name(self) -> str:
        """The server's URL."""
        return self._base_url

    async def reset(self, task: Task) -> Step:
        """Starts `task`; tried again if the connection breaks, since a second reset undoes the first."""
        self._last = None
        where = f"{self.name}/reset"
        try:
            response = await self._persistent("POST", "/reset", reset_request(task))
        except _NoAnswer as failure:
            raise Unreachable(f"{where}: {failure}") from None
        if response.status_code == 422:
            raise TaskRefused(f"{where}: {task.name}: {_detail(response, where)}")
        step = read_reset(_body(response, where), where, task)
        self._began = await self._state()
        self._steps = 0
        self._last = step
        return step

    async def step(self, action: Action) -> Step:
        """Acts once; never sends an action again whose effect cannot be ruled out."""
        before = self._last
        if before is None or before.done:
            raise EpisodeLost(f"{self.name}: no episode is running – reset first")
        # Whatever goes wrong below, the episode cannot be trusted, unless the action was merely refused.
        self._last = None
        where = f"{self.name}/step"
        await self._check_episode()
        try:
            response = await self._send("POST", "/step", {"action": action.to_wire()})
        except _NoAnswer as failure:
            recovered = await self._after_silence(action, failure)
            if recovered is None:
                self._last = stale_step(before, action, str(failure))
                self._steps += 1
                return self._last
            response = recovered
        if response.status_code == 422:
            self._last = before
            raise ActionRefused(f"{where}: {action}: {_detail(response, where)}")
        step = read_step(_body(response, where), where, before)
        self._steps += 1
        self._last = step
        return step

    async def aclose(self) -> None:
        """Closes the connections; the server's episode stays as it is."""
        self._last = None
        await self._client.aclose()

    async def _after_silence(self, action: Action, failure: _NoAnswer) -> httpx.Response | None:
        """What became of a step without an answer: None if it took hold, else a second answer."""
        where = f"{self.name}/step"
        if failure.arrived:
            if self._began is None:
                raise Unreachable(
                    f"{where}: {failure}; without /state nobody knows whether it took hold"
                ) from None
            if await self._took_hold():
                return None
            if failure.pending:
                raise Unreachable(
                    f"{where}: {failure}; not sent again, because the first may still take hold"
                ) from None
        await asyncio.sleep(_PAUSES_S[0])
        try:
            return await self._send("POST", "/step", {"action": action.to_wire()})
        except _NoAnswer as second:
            raise Unreachable(f"{where}: {failure}; then: {second}") from None

    async def _took_hold(self) -> bool:
        """Watches `/state.step_count` for a while after a step went unanswered."""
        deadline = asyncio.get_running_loop().time() + self._settle_s
        while True:
            state = await self._check_episode(extra_steps=1)
            if state is not None and state.step_count > self._expected_count():
                return True
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL_S)

    def _expected_count(self) -> int:
        return (self._began.step_count if self._began else 0) + self._steps

    async def _check_episode(self, extra_steps: int = 0) -> ServerState | None:
        """Makes sure that the server still holds the episode that our reset began."""
        if self._began is None:
            return None
        state = await self._state()
        where = f"{self.name}/state"
        if state is None:
            raise EpisodeLost(f"{where}: the server does not know its state any more")
        if state.episode_id != self._began.episode_id:
            raise EpisodeLost(
                f"{where}: the episode is {state.episode_id}, ours was {self._began.episode_id}: another "
                "client has reset it, the server was restarted, or it keeps no episode over HTTP "
                "(then: --transport ws)"
            )
        if state.step_count > self._expected_count() + extra_steps:
            raise EpisodeLost(
                f"{where}: {state.step_count} steps taken, {self._expected_count()} of them ours: another "
                "client plays the same episode"
            )
        if state.episode_id is None and self._steps and state.step_count == 0:
            raise EpisodeLost(f"{where}: the server keeps no episode over HTTP – use --transport ws")
        return state

    async def _state(self) -> ServerState | None:
        """What `/state` says; None if the server has no such page."""
        where = f"{self.name}/state"
        try:
            response = await self._persistent("GET", "/state", None)
        except _NoAnswer as failure:
            raise Unreachable(f"{where}: {failure}") from None
        if response.status_code in (404, 405):
            return None
        return read_state(_body(response, where), where)

    async def _persistent(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        """Sends what may be repeated; a broken connection is tried again, a time-out is not."""
        for pause_s in _PAUSES_S:
            try:
                return await self._send(method, path, body)
            except _NoAnswer as failure:
                if failure.pending:
                    raise
            await asyncio.sleep(pause_s)
        return await self._send(method, path, body)

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.request(method, path, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _NoAnswer(f"no connection ({_why(error)})", arrived=False, pending=False) from None
        except (TimeoutError, httpx.TimeoutException):
            raise _NoAnswer(f"no answer within {self._timeout_s:g} s", arrived=True, pending=True) from None
        except httpx.TransportError as error:
            raise _NoAnswer(f"the connection broke ({_why(error)})", arrived=True, pending=False) from None
        except httpx.DecodingError as error:
            raise ProtocolError(f"{self.name}{path}: {_why(error)}") from None
        if response.status_code >= 500:
            reason = (
                f"status {response.status_code} ({one_line(response.text)[:120] or response.reason_phrase})"
            )
            raise _NoAnswer(reason, arrived=True, pending=response.status_code == 504)
        return response


def _why(error: Exception) -> str:
    return one_line(error) or type(error).__name__


def _body(response: httpx.Response, where: str) -> Any:
    if response.status_code == 429:
        raise CapacityReached(f"{where}: {one_line(response.text)}")
    if response.status_code != 200:
        raise ProtocolError(
            f"{where}: status {response.status_code} ({one_line(response.text)[:120]}) "
            "– is this a FirewatchEnv server?"
        )
    return decode_body(response.content, where)


def _detail(response: httpx.Response, where: str) -> str:
    raw = decode_body(response.content, where)
    return refusal(raw.get("detail", raw) if isinstance(raw, dict) else raw)
