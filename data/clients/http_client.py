"""An environment over HTTP: the server has one shared episode, so every step checks that it is still ours."""

import asyncio
from typing import Any

import httpx

from data import wire
from data.errors import ActionRefused, CapacityReached, EpisodeLost, ProtocolError, TaskRefused, Unreachable
from data.observation import Action, Step, Task
from data.wire import one_line

# Pauses between attempts, for requests that are safe to repeat.
_PAUSES_S = (0.1, 0.4)
_POLL_S = 0.1


class _NoAnswer(Exception):
    """A request without a usable response.

    Args:
        reason: in a few words.
        arrived: the server may have received it.
        pending: the server may still be working on it, or start later.
    """

    def __init__(self, reason: str, *, arrived: bool, pending: bool) -> None:
        super().__init__(reason)
        self.arrived, self.pending = arrived, pending


class HttpEnvironment:
    """A FirewatchEnv server over HTTP.

    All clients of such a server share one episode. Before every step `/state` must still show the episode of
    our reset, and the response must continue its services and ticks; otherwise the episode is lost. If a
    step gets no response, `/state.step_count` tells whether it took effect. If it did, the episode continues
    with the previous observation. If not, the step is sent once more, unless the first may still arrive.

    Args:
        base_url: `http(s)://host[:port][/path]`.
        timeout_s: for the complete response to a request.
        connect_timeout_s: for a connection.
        settle_s: how long to watch `/state.step_count` after a step without a response.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        settle_s: float = 1.0,
    ) -> None:
        address = wire.Address.parse(base_url)
        self.name = address.http
        self._timeout_s = timeout_s
        self._settle_s = settle_s
        self._client = wire.http_client(
            address, httpx.Timeout(timeout_s, connect=min(connect_timeout_s, timeout_s))
        )
        self._last: Step | None = None
        # `/state` at the start of our episode; None if the server has no `/state`.
        self._began: wire.ServerState | None = None
        self._steps = 0

    async def reset(self, task: Task) -> Step:
        """Starts `task`; retried if the connection breaks, which is safe for a reset."""
        self._last = None
        where = f"{self.name}/reset"
        try:
            response = await self._persistent("POST", "/reset", wire.reset_request(task))
        except _NoAnswer as failure:
            raise Unreachable(f"{where}: {failure}") from None
        if response.status_code == 422:
            raise TaskRefused(f"{where}: {task.name}: {_detail(response, where)}")
        step = wire.read_reset(_body(response, where), where, task)
        self._began = await self._state()
        self._steps = 0
        self._last = step
        return step

    async def step(self, action: Action) -> Step:
        """Performs the action once; an action that may have taken effect is never sent again."""
        before = self._last
        if before is None or before.done:
            raise EpisodeLost(f"{self.name}: no episode is running – reset first")
        # After any error below the episode is lost, except if the action was just refused.
        self._last = None
        where = f"{self.name}/step"
        await self._check_episode()
        try:
            response = await self._send("POST", "/step", {"action": action.to_wire()})
        except _NoAnswer as failure:
            recovered = await self._after_silence(action, failure)
            if recovered is None:
                self._last = wire.stale_step(before, action, str(failure))
                self._steps += 1
                return self._last
            response = recovered
        if response.status_code == 422:
            self._last = before
            raise ActionRefused(f"{where}: {action}: {_detail(response, where)}")
        step = wire.read_step(_body(response, where), where, before)
        self._steps += 1
        self._last = step
        return step

    async def aclose(self) -> None:
        """Closes the connections; the server keeps its episode."""
        self._last = None
        await self._client.aclose()

    async def _after_silence(self, action: Action, failure: _NoAnswer) -> httpx.Response | None:
        """Handles a step without a response: None if it took effect, else the response to a second try."""
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
        """Watches `/state.step_count` for a while after a step without a response."""
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

    async def _check_episode(self, extra_steps: int = 0) -> wire.ServerState | None:
        """Checks that the server still has the episode of our reset."""
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

    async def _state(self) -> wire.ServerState | None:
        """The server's `/state`; None if it has no such page."""
        where = f"{self.name}/state"
        try:
            response = await self._persistent("GET", "/state", None)
        except _NoAnswer as failure:
            raise Unreachable(f"{where}: {failure}") from None
        if response.status_code in (404, 405):
            return None
        return wire.read_state(_body(response, where), where)

    async def _persistent(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        """Sends a repeatable request; retried after a broken connection, but not after a time-out."""
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
    return wire.decode_body(response.content, where)


def _detail(response: httpx.Response, where: str) -> str:
    raw = wire.decode_body(response.content, where)
    return wire.refusal(raw.get("detail", raw) if isinstance(raw, dict) else raw)
