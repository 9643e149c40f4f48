"""HTTP requests with limits on number, time and size; every failure is one plain line."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Self

import httpx

from data.errors import TelemetryFault
from data.files.json_text import NotJson, read_json
from data.sources.live.access import Access

_AT_ONCE = 6  # questions
_LARGEST = 256_000_000  # bytes of one answer
_LONGEST_ERROR = 2**20
_WORDS = {
    401: "wrong or missing credentials", 403: "not allowed", 404: "no such path; is this its address?",
    429: "too many requests", 503: "overloaded",
}  # fmt: skip


class Http:
    """Sends a few requests at a time to one source.

    Args:
        timeout_s: for one answer.
        largest: bytes of one answer.
    """

    def __init__(self, access: Access, timeout_s: float, largest: int = _LARGEST) -> None:
        self.access, self.timeout_s, self.largest = access, timeout_s, largest
        self.waited_s = 0.0  # until the first byte of each answer, summed
        self._client = access.client(timeout_s)
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, parameters: Mapping[str, Any]) -> bytes:
        """Gets `path`.

        Raises:
            TelemetryFault: no answer, too late, too large, or refused.
        """
        return await self._ask("GET", path, params=parameters)

    async def post(self, path: str, form: Mapping[str, str | list[str]]) -> bytes:
        """Posts a form; falls back to GET if POST is not allowed."""
        try:
            return await self._ask("POST", path, data=form)
        except TelemetryFault as fault:
            if fault.status != 405:
                raise
            return await self._ask("GET", path, params=form)

    def decoded(self, body: bytes) -> Any:
        """An answer that is JSON.

        Raises:
            TelemetryFault: it is not.
        """
        try:
            return read_json(body)
        except NotJson as error:
            name, url = self.access.name, self.access.url
            raise TelemetryFault(f"{name} did not answer with JSON ({error}): is it at {url}?") from None

    async def _ask(self, method: str, path: str, **what: Any) -> bytes:
        name = self.access.name
        async with self._turn:
            try:
                async with asyncio.timeout(self.timeout_s):
                    status, body = await self._read(method, path, what)
            except (httpx.TimeoutException, TimeoutError):
                raise TelemetryFault(f"{name} did not answer within {self.timeout_s:g} s") from None
            except (httpx.HTTPError, ssl.SSLError) as error:
                # Their messages quote addresses, never headers.
                reason = str(error) or type(error).__name__
                raise TelemetryFault(f"{name} cannot be reached at {self.access.url}: {reason}") from None
        if status >= 300:
            why = _WORDS.get(status, "") or self.access.without_secrets(_told(body))
            raise TelemetryFault(f"{name} answered {status}{': ' if why else ''}{why}", status)
        return body

    async def _read(self, method: str, path: str, what: Mapping[str, Any]) -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self._client.stream(method, path, **what) as response:
            self.waited_s += loop.time() - asked
            parts, size = [], 0
            async for part in response.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > self.largest:
                    raise TelemetryFault(
                        f"{self.access.name} sent more than {self.largest / 1e6:.0f} MB for one query: "
                        "choose one --namespace or a shorter --window"
                    )
            return response.status_code, b"".join(parts)


def _told(body: bytes) -> str:
    """The reason in an error answer, or ""."""
    try:
        answer = read_json(body, _LONGEST_ERROR)
    except NotJson:
        return ""
    told = answer.get("error") if isinstance(answer, dict) else None
    return told if isinstance(told, str) else ""
