"""Limits the size of HTTP bodies while unpacking: a small gzip body may hold gigabytes."""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

_PACKED = {"gzip": 31, "x-gzip": 31}  # zlib's window size selects the format
PACKED_HEADER = {"Accept-Encoding": "gzip"}


def bounded(largest_bytes: int) -> Callable[[httpx.Response], Awaitable[None]]:
    """A response hook for httpx; reading a larger body raises `httpx.DecodingError`."""

    async def bound(response: httpx.Response) -> None:
        coding = response.headers.pop("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity", *_PACKED):
            raise httpx.DecodingError(f"a body packed as '{coding[:40]}'", request=response.request)
        response.stream = _Bounded(response, _PACKED.get(coding), largest_bytes)

    return bound


class _Bounded(httpx.AsyncByteStream):
    """The unpacked body of `response`, up to a size."""

    def __init__(self, response: httpx.Response, window: int | None, largest_bytes: int) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream, self._request = response.stream, response.request
        self._window, self._left = window, largest_bytes
        self._largest_bytes = largest_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpack = zlib.decompressobj(self._window) if self._window else None
        async for chunk in self._stream:
            try:
                part = unpack.decompress(chunk, self._left + 1) if unpack else chunk
            except zlib.error as error:
                raise httpx.DecodingError(f"a damaged gzip body ({error})", request=self._request) from None
            self._left -= len(part)
            if self._left < 0:
                size = f"over {self._largest_bytes / 2**20:g} MiB"
                raise httpx.DecodingError(f"the body is too large: {size}", request=self._request)
            yield part
        if unpack and not unpack.eof:
            raise httpx.DecodingError("a gzip body without its end", request=self._request)

    async def aclose(self) -> None:
        await self._stream.aclose()
